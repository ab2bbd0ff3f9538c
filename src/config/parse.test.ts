import { expect, test } from "bun:test";
import { DEFAULT_CONFIG } from "./config.ts";
import { loadConfig } from "./load.ts";
import { parseConfig } from "./parse.ts";

const parse = (source: string) => parseConfig(source, "/c.toml");

test("every key is read, and the rest keeps its default", () => {
  const { config, warnings } = parse(`[log]
level = "warn"
syslog = true
[runtime]
engine = "crun"
unannotated = "container"
boot_timeout_ms = 5000
[monitors.qemu]
default_memory_mb = 512
data_path = "/opt/firmware"
share = "9p"
[extra_binaries.virtiofsd]
path = "/opt/virtiofsd"
options = "--cache always"
[rootfs]
way = "image"
snapshot = "always"
format = "ext4"
changes = "persist"
persist_mb = 512
directory = "/srv/images"
cache_mb = 100
`);
  expect(config).toEqual({
    ...DEFAULT_CONFIG,
    log: { level: "warning", syslog: true },
    engine: "crun",
    unannotated: "container",
    bootTimeout: 5000,
    virtiofsd: "/opt/virtiofsd",
    virtiofsdOptions: ["--cache", "always"],
    rootfs: {
      ...{ way: "image", snapshot: "always", format: "ext4", changes: "persist", persistMiB: 512 },
      ...{ directory: "/srv/images", cacheMiB: 100 },
    },
    qemu: { memoryMiB: 512, vcpus: 1, share: "9p", dataPath: "/opt/firmware" },
  });
  expect(warnings).toEqual([]);
});

test("what is wrong is named by its line and key, and never becomes a default", () => {
  expect(() => parse("[runtime\n")).toThrow("/c.toml, line 1, is not TOML");
  const wrong: [source: string, ...sentence: string[]][] = [
    [
      "\n[monitors.qemu]\ndefault_vcpus = 0\n",
      "/c.toml, line 3, has monitors.qemu.default_vcpus",
      "from 1 to 32",
    ],
    ['[monitors.qemu]\nshare = "nfs"\n', "line 2", '"virtiofs" or "9p"'],
    ['[runtime]\nshare = "relative"\n', "line 2", "an absolute path"],
    ["[runtime]\nboot_timeout_ms = 2024-01-01\n", "line 2", "a whole number"],
    ['[rootfs]\nway = "images"\n', "line 2", '"share" or "image"'],
    ["[log]\nsyslog = 1\n", "line 2", "true or false"],
    ['[log]\nlevel = "loud"\n', "line 2", '"debug"'],
    ["\nruntime = 1\n", "line 2", "runtime that must be a table"],
    ["[[monitors]]\nqemu = 1\n", "monitors that must be a table"],
    [
      "[runtime.engine]\nname = 1\n",
      "line 2",
      "runtime.engine.name that is in runtime.engine, which is no table",
    ],
    ["[runtime.engine]\n", "line 1", "must be a string"],
    ['[extra_binaries.virtiofsd]\noptions = ["-o", "x"]\n', "line 2", "must be a string"],
    ['[extra_binaries.virtiofsd]\noptions = "always"\n', "line 2", "must be options"],
    ["[monitors.firecracker]\ndefault_vcpus = true\n", "line 2", "a whole number"],
    ["[monitors.hvt]\ndefault_vcpus = true\n", "line 2", "a whole number"],
    [
      '[runtime]\nmonitor = "xen"\n',
      "line 2",
      'runtime.monitor that must be "qemu" or "firecracker" or "cloud-hypervisor"',
    ],
    ["[runtime]\nacceleration = true\n", "line 2", 'must be "detect" or "kvm" or "emulation"'],
  ];
  for (const [source, ...sentences] of wrong) {
    for (const sentence of sentences) expect(() => parse(source)).toThrow(sentence);
  }
});

test("an unknown key is a warning with its line and what was probably meant", () => {
  const { config, warnings } = parse(`[runtime]
engin = "crun"
[monitors.qemu]
memory = 1
defualt_vcpus = 2
[vm]
engine = "crun"
`);
  expect(config).toEqual(DEFAULT_CONFIG);
  expect(warnings).toEqual([
    "the configuration /c.toml has an unknown key runtime.engin (line 2): did you mean runtime.engine?",
    expect.stringMatching(
      /unknown key monitors.qemu.memory \(line 4\) \(known are .*monitors.qemu.default_memory_mb/,
    ),
    expect.stringContaining(
      "monitors.qemu.defualt_vcpus (line 5): did you mean monitors.qemu.default_vcpus?",
    ),
    expect.stringContaining("vm.engine (line 7): did you mean runtime.engine?"),
  ]);
});

test("a quoted name with a dot in it is not the key that it looks like", () => {
  const { config, warnings } = parse('"runtime.engine" = "crun"\n');
  expect(config).toEqual(DEFAULT_CONFIG);
  expect(warnings).toHaveLength(1);
});

test("keys of others that have no effect here are one warning, and none where they ask for what is so anyway", () => {
  const { warnings } = parse(`[timestamps]
enabled = true
destination = "/tmp/t"
[monitors.qemu]
vhost = true
[monitors.firecracker]
data_path = "/f"
[extra_binaries.virtiofsd]
options = "--cache always --sandbox none"
`);
  expect(warnings).toHaveLength(1);
  for (const part of [
    "timestamps.enabled (line 2)",
    "monitors.qemu.vhost (line 5)",
    "monitors.firecracker.data_path (line 7)",
    "extra_binaries.virtiofsd.options (line 9) --sandbox none",
  ]) {
    expect(warnings[0]).toContain(part);
  }
  const quiet = '[timestamps]\nenabled = false\ndestination = "/tmp/t"\n[monitors.qemu]\nvhost = false\n';
  expect(parse(quiet).warnings).toEqual([]);
});

test("each monitor has a program and sizes of its own", () => {
  const { config, warnings } = parse(`[runtime]
monitor = "cloud-hypervisor"
[monitors.firecracker]
path = "/usr/bin/f"
default_memory_mb = 128
[monitors.cloud-hypervisor]
default_vcpus = 4
`);
  expect(warnings).toEqual([]);
  expect(config.monitor).toBe("cloud-hypervisor");
  expect(config.firecracker).toEqual({ path: "/usr/bin/f", memoryMiB: 128, vcpus: 1 });
  expect(config.cloudHypervisor).toEqual({ memoryMiB: 256, vcpus: 4 });
  expect(config.qemu).toEqual(DEFAULT_CONFIG.qemu);
});

test("what of a file server's options is the sandbox's own is left out", () => {
  const { config } = parse(
    '[extra_binaries.virtiofsd]\noptions = "--cache always --sandbox none -o source=/"\n',
  );
  expect(config.virtiofsdOptions).toEqual(["--cache", "always"]);
});

test("a file that the environment names must be there", () => {
  expect(() => loadConfig({ URUNC_CONFIG_FILE: "/does/not/exist" })).toThrow("cannot read the configuration");
});
