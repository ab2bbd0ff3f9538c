import { describe, expect, test } from "bun:test";
import type { Bunnyfile } from "./bunnyfile.ts";
import { joinCommandLine, splitCommandLine } from "./command-line.ts";
import { parseBunnyfile } from "./parse.ts";
import { addsUrunit, planImage, processOf, referencesOf, uruncJson } from "./plan.ts";

const parse = (text: string) => parseBunnyfile(text, "bunnyfile");

const START = `version: v0.1
platforms:
  framework: linux
  monitor: qemu
`;
const KERNEL = `kernel:
  from: builtin
`;
const withRootfs = (lines: string) => `${START}${KERNEL}rootfs:\n${lines.replace(/^/gm, "  ")}`;

const GUIDE = `#syntax=harbor.nbfc.io/nubificus/bunny:latest
version: v0.1

platforms:
  framework: linux
  monitor: qemu
  architecture: x86

rootfs:
  from: redis:alpine
  type: raw

kernel:
  from: harbor.nbfc.io/nubificus/urunc/linux-kernel-qemu:v6.14
  path: /kernel

cmdline: "/urunit /usr/local/bin/redis-server --save '60 1'"
`;

const plan = (file: Bunnyfile) => planImage(file, "amd64");

describe("the guide's bunnyfile", () => {
  test("is read", () => {
    const file = parse(GUIDE);
    expect(file).toMatchObject({
      framework: "linux",
      monitor: "qemu",
      architectures: [{ value: "amd64", at: { line: 7, column: 17 } }],
      kernel: {
        kind: "image",
        reference: { value: { registry: "harbor.nbfc.io", tag: "v6.14" }, at: { line: 14, column: 9 } },
        path: { value: "/kernel" },
      },
      rootfs: { kind: "raw", base: { value: { repository: "library/redis", tag: "alpine" } } },
      cmd: ["/urunit", "/usr/local/bin/redis-server", "--save", "60 1"],
      warnings: ["bunnyfile:17:1: warning: cmdline is out of use: write its words as a list after cmd"],
    });
  });

  test("makes the annotations that runtimes expect", () => {
    const { annotations } = plan(parse(GUIDE));
    expect(annotations).toEqual({
      "com.urunc.unikernel.binary": "/.boot/kernel",
      "com.urunc.unikernel.cmdline": "/urunit /usr/local/bin/redis-server --save '60 1'",
      "com.urunc.unikernel.hypervisor": "qemu",
      "com.urunc.unikernel.mountRootfs": "true",
      "com.urunc.unikernel.unikernelType": "linux",
    });
    expect(JSON.parse(uruncJson({ ...annotations, other: "x" }))).toEqual(
      Object.fromEntries(Object.entries(annotations).map(([key, value]) => [key, btoa(value)])),
    );
  });

  test("runs what it says, not the base's entrypoint before it", () => {
    const base = { Entrypoint: ["docker-entrypoint.sh"], Cmd: ["redis-server"], Env: ["PATH=/bin"] };
    expect(processOf(base, plan(parse(GUIDE)), true)).toMatchObject({
      Entrypoint: ["/urunit"],
      Cmd: ["/usr/local/bin/redis-server", "--save", "60 1"],
    });
  });

  test("looks for the kernel's configuration beside it", () => {
    expect(plan(parse(GUIDE)).kernelConfig).toMatchObject({
      optional: true,
      source: { path: { value: "/config" } },
    });
  });
});

describe("rootfs", () => {
  test.each([
    ["from: scratch", { kind: "raw" }],
    ["type: initrd", { kind: "made", type: "initrd" }],
    ["from: redis\ntype: block\nsize: 200M", { kind: "made", type: "block", size: { value: 200 << 20 } }],
    ["type: block\nsize: 1GiB", { kind: "made", type: "block", size: { value: 1 << 30 } }],
    ["type: block\nsize: 2097152", { kind: "made", type: "block", size: { value: 2 << 20 } }],
    ["from: local\ntype: initrd\npath: a/../b.cpio", { kind: "file", source: { path: { value: "b.cpio" } } }],
    ["from: redis\ntype: block\npath: b.img", { kind: "file", source: { path: { value: "/b.img" } } }],
  ])("%j", (text, expected) => {
    expect(parse(withRootfs(text)).rootfs).toMatchObject(expected as object);
  });

  test("of an initrd or a block image is told to the runtime", () => {
    const keys = (text: string) =>
      Object.entries(plan(parse(withRootfs(text))).annotations)
        .filter(([key]) => /initrd|block|blk|mount/.test(key))
        .map(([key, value]) => `${key.slice("com.urunc.unikernel.".length)}=${value}`);
    expect(keys("type: initrd")).toEqual(["initrd=/.boot/rootfs", "mountRootfs=false"]);
    expect(keys("type: block")).toEqual(["blkMntPoint=/", "block=/.boot/rootfs", "mountRootfs=false"]);
    expect(keys("from: local\npath: a\ntype: block")).toEqual([
      "blkMntPoint=/",
      "block=/.boot/rootfs",
      "mountRootfs=false",
    ]);
  });

  test("of another framework is what that has", () => {
    const unikraft = START.replace("linux", "unikraft") + KERNEL;
    expect(parse(unikraft).rootfs).toEqual({ kind: "none" });
    expect(parse(`${unikraft}rootfs:\n  include: [a]\n`).rootfs).toEqual({ kind: "made", type: "initrd" });
    const rumprun = START.replace("linux", "rumprun") + KERNEL;
    const file = parse(`${rumprun}rootfs:\n  from: local\n  path: a\n  type: block\n`);
    expect(plan(file).annotations["com.urunc.unikernel.blkMntPoint"]).toBe("/data");
    expect(plan(file).urunit).toBe("no");
  });

  test.each([
    ["a", "a", "/a"],
    ["./a:/b", "a", "/b"],
    ["a:", "a", "/a"],
    ["a:b/", "a", "/b/"],
    ["a:/b/.", "a", "/b/"],
    [".:/", ".", "/"],
    ["a:b:c", "a", "/b:c"],
  ])("includes %s", (text, source, destination) => {
    const [include] = parse(withRootfs(`include: ["${text}"]`)).includes;
    expect(include).toMatchObject({
      source: { kind: "local", path: { value: source } },
      destination: { value: destination },
    });
  });

  test("includes files of other images, also such with a digest", () => {
    const digest = `sha256:${"ab".repeat(32)}`;
    const text = `from: redis:7@${digest}
include:
  - from: nginx
    source: etc/nginx
    destination: /etc/nginx
  - {source: a, destination: /a}`;
    const file = parse(withRootfs(text));
    expect(file.includes).toMatchObject([
      { source: { kind: "image", path: { value: "/etc/nginx" } } },
      { source: { kind: "local", path: { value: "a" } } },
    ]);
    expect(referencesOf(plan(file)).map(({ value }) => value)).toMatchObject([
      { repository: "library/redis", tag: "7", digest },
      { repository: "library/nginx" },
    ]);
  });
});

describe("what runs", () => {
  const base = { Entrypoint: ["entry"], Cmd: ["word"], Env: ["A=1", "B=2"], Labels: { bunny: "x" } };
  const run = (text: string, urunit = true) => processOf(base, plan(parse(START + KERNEL + text)), urunit);

  test("is the base's, behind our init", () => {
    expect(run("")).toMatchObject({ Entrypoint: ["/urunit", "entry"], Cmd: ["word"], Env: base.Env });
    expect(run("", false)).toMatchObject({ Entrypoint: ["entry"], Cmd: ["word"] });
  });

  test("is replaced where the file says so", () => {
    expect(run("cmd: [a, 10, yes]")).toMatchObject({
      Entrypoint: ["/urunit", "entry"],
      Cmd: ["a", "10", "yes"],
    });
    expect(run("entrypoint: [e]")).toMatchObject({ Entrypoint: ["/urunit", "e"], Cmd: ["word"] });
    expect(run("entrypoint: [/urunit, e]\ncmd: []")).toEqual({
      ...base,
      Entrypoint: ["/urunit", "e"],
      Cmd: undefined as never,
      Labels: expect.anything() as never,
    });
  });

  test("has the environment of both, each name once", () => {
    expect(run("envs: [B=3, C=]").Env).toEqual(["A=1", "B=3", "C="]);
  });

  test("has the annotations as labels, and not the base's own", () => {
    const stale = { ...base, Labels: { mine: "1", "com.urunc.unikernel.initrd": "/old" } };
    const file = parse(
      `${START}${KERNEL}annotations: {"org.example": "x", com.urunc.unikernel.other: 1.10}\n`,
    );
    const { Labels } = processOf(stale, plan(file), false);
    expect(Labels).toMatchObject({ mine: "1", "org.example": "x", "com.urunc.unikernel.other": "1.10" });
    expect(Labels).not.toHaveProperty(["com.urunc.unikernel.initrd"]);
  });

  test("is our init's unless the file, the base or an included one says otherwise", () => {
    const adds = (text: string, labels = {}) => addsUrunit(plan(parse(START + KERNEL + text)), labels);
    expect(adds("")).toBe(true);
    expect(adds("", { "bunny.urunit": "false" })).toBe(false);
    expect(adds("urunit: true", { "bunny.urunit": "false" })).toBe(true);
    expect(adds("urunit: false")).toBe(false);
    expect(adds("rootfs: {include: [a:/urunit]}")).toBe(false);
  });
});

test("an architecture can be part of a path", () => {
  const file = parse(`version: 0.1
platforms: {framework: linux, monitor: qemu, architecture: [x86_64, aarch64]}
kernel: {from: local, path: "kernels/{architecture}/Image", config: "{architecture}.config"}
rootfs: {include: ["bin/{architecture}:/bin"]}
`);
  expect(file.architectures.map(({ value }) => value)).toEqual(["amd64", "arm64"]);
  expect(planImage(file, "arm64")).toMatchObject({
    platform: { os: "linux", architecture: "arm64" },
    kernel: { path: { value: "kernels/arm64/Image" } },
    kernelConfig: { optional: false, source: { path: { value: "arm64.config" } } },
    includes: [{ source: { path: { value: "bin/arm64" } } }],
  });
});

test.each(["v0.1", "0.1", "0.1.0", "v0", "v0.0.9", "v0.1.0-rc1"])("version %s is understood", (version) => {
  expect(parse(START.replace("v0.1", version) + KERNEL).framework).toBe("linux");
});

test.each<[string, string, string]>([
  ["nothing", "", "1:1: the file is empty"],
  ["a list", "- a", "1:1: the file is a list and must be a mapping"],
  ["no YAML", "version: [", "1:11: this is no YAML"],
  ["two documents", `${START}${KERNEL}---\na: 1\n`, "7:1: this is no YAML"],
  ["an unknown key", `${START}${KERNEL}rootsf: {}\n`, '7:1: the key "rootsf" is not known: is rootfs meant?'],
  [
    "a key far from all",
    `${START}${KERNEL}services: {}\n`,
    '7:1: the key "services" is not known: known are version,',
  ],
  [
    "an unknown key below",
    START.replace("monitor", "moniter") + KERNEL,
    '4:3: the key "moniter" is not known: is monitor',
  ],
  ["a key twice", `${START}${KERNEL}version: v0.1\n`, "7:1: this key is there twice"],
  ["a key twice below", `${START}  monitor: qemu\n${KERNEL}`, "5:3: this key is there twice"],
  ["a merge key", `${START}${KERNEL}rootfs: {<<: {type: raw}}\n`, '7:10: the key "<<" is not known'],
  ["no version", START.replace("version: v0.1\n", "") + KERNEL, "1:1: the file lacks the key version"],
  ["a newer version", START.replace("v0.1", "v0.2") + KERNEL, "1:10: version v0.2 is newer than v0.1"],
  ["a patch too new", START.replace("v0.1", "v0.1.1") + KERNEL, "1:10: version v0.1.1 is newer"],
  [
    "a version that is none",
    START.replace("v0.1", "latest") + KERNEL,
    '1:10: version is as v0.1, not "latest"',
  ],
  ["an empty version", START.replace("v0.1", "") + KERNEL, "1:1: version has no value and must be a string"],
  ["no platforms", `version: v0.1\n${KERNEL}`, "1:1: the file lacks the key platforms"],
  [
    "no framework",
    START.replace("  framework: linux\n", "") + KERNEL,
    "2:1: platforms lacks the key framework",
  ],
  ["no monitor", START.replace("  monitor: qemu\n", "") + KERNEL, "2:1: platforms lacks the key monitor"],
  [
    "a framework misspelt",
    START.replace("linux", "linus") + KERNEL,
    '3:14: framework is one of linux, unikraft, rumprun, mirage, mewz, not "linus"; is linux meant?',
  ],
  ["an unknown monitor", START.replace("qemu", "xen") + KERNEL, "4:12: monitor is one of qemu,"],
  ["a monitor that has no Linux", START.replace("qemu", "hvt") + KERNEL, "4:12: linux does not run on hvt"],
  [
    "an unknown architecture",
    `${START}  architecture: mips\n${KERNEL}`,
    '5:17: the architecture "mips" is not known: known are aarch64,',
  ],
  [
    "an architecture twice",
    `${START}  architecture: [x86, amd64]\n${KERNEL}`,
    "5:23: the architecture amd64 is there twice",
  ],
  ["no architecture", `${START}  architecture: []\n${KERNEL}`, "5:3: architecture is an empty list"],
  [
    "our kernel for another",
    `${START}  architecture: arm64\n${KERNEL}`,
    "7:9: the builtin kernel is for amd64",
  ],
  ["no kernel", START, "1:1: the file lacks the key kernel"],
  ["no kernel's from", `${START}kernel: {path: a}\n`, "5:1: kernel lacks the key from"],
  ["no kernel's path", `${START}kernel: {from: local}\n`, "5:1: kernel lacks the key path"],
  [
    "a path of the builtin kernel",
    `${START}${KERNEL}  path: /kernel\n`,
    "7:3: path goes with a kernel that is local",
  ],
  ["a kernel's image that is none", `${START}kernel: {from: A B, path: k}\n`, '5:16: "A B" is no image name'],
  [
    "a path out of the context",
    `${START}kernel: {from: local, path: a/../../b}\n`,
    '5:29: the path "a/../../b" leads out',
  ],
  ["a kernel that is a list", `${START}kernel: []\n`, "5:9: kernel is a list and must be a mapping"],
  ["a digest that is none", withRootfs("from: redis@sha256:12"), '8:9: "redis@sha256:12" is no image name'],
  ["an unknown type", withRootfs("type: ext4"), '8:9: type is one of raw, initrd, block, not "ext4"'],
  [
    "a type that the framework lacks",
    withRootfs("type: block").replace("linux", "unikraft"),
    "8:9: unikraft cannot have a rootfs block: it has initrd or raw",
  ],
  ["a path of scratch", withRootfs("from: scratch\npath: a\ntype: initrd"), "9:3: path needs from: local"],
  ["a path of nothing", withRootfs("path: a\ntype: initrd"), "8:3: path needs from: local"],
  [
    "a path and raw",
    withRootfs("from: redis\ntype: raw\npath: a"),
    "9:9: path names an initrd or a block image",
  ],
  ["a path and no type", withRootfs("from: local\npath: a"), "9:3: path names an initrd or a block image"],
  ["local and raw", withRootfs("from: local\ntype: raw"), "9:9: a raw rootfs is not local"],
  ["local without a path", withRootfs("from: local\ntype: initrd"), "8:9: from: local needs path"],
  ["a size of raw", withRootfs("size: 1G"), "8:9: size is for type: block, and this rootfs is raw"],
  [
    "a size of what is there",
    withRootfs("from: local\ntype: block\npath: a\nsize: 1G"),
    "11:9: size is for a block image that is made",
  ],
  ["a size that is none", withRootfs("type: block\nsize: huge"), "9:9: size is from 1M to 16T"],
  ["a size too small", withRootfs("type: block\nsize: 10K"), "9:9: size is from 1M to 16T"],
  ["an include without a source", withRootfs("include:\n  - :/a"), "9:7: an entry of include is SOURCE"],
  [
    "an include's missing key",
    withRootfs("include:\n  - {source: a}"),
    "9:7: an entry of include lacks the key destination",
  ],
  ["an include's unknown key", withRootfs("include:\n  - {src: a}"), '9:8: the key "src" is not known'],
  ["an include out of the image", withRootfs("include: [a:../../b]"), '8:13: the path "../../b" leads out'],
  [
    "an include onto the kernel",
    withRootfs("include: [a:/.boot/kernel]"),
    "8:13: /.boot/kernel is made by the build",
  ],
  [
    "an include that is no list",
    withRootfs("include: a"),
    "8:12: include is a single value and must be a list",
  ],
  [
    "an empty entry",
    withRootfs("include: [a, ]\n").replace("[a, ]", "\n    - "),
    "9:7: an entry of include has no value",
  ],
  [
    "a command that is no list",
    `${START}${KERNEL}cmd: redis-server\n`,
    "7:6: cmd is a single value and must be a list",
  ],
  [
    "a command in a command",
    `${START}${KERNEL}cmd: [[a]]\n`,
    "7:7: an entry of cmd is a list and must be a string",
  ],
  ["a word that is null", `${START}${KERNEL}cmd: [a, null]\n`, "7:10: an entry of cmd has no value"],
  [
    "a quote that is open",
    `${START}${KERNEL}cmdline: "/urunit 'a"\n`,
    "7:10: cmdline has a quote that is not closed",
  ],
  ["an environment without =", `${START}${KERNEL}envs: [A]\n`, '7:8: an entry of envs is KEY=VALUE, not "A"'],
  ["an environment without a name", `${START}${KERNEL}envs: ["=a"]\n`, "7:8: an entry of envs is KEY=VALUE"],
  [
    "an environment as a mapping",
    `${START}${KERNEL}envs: {A: 1}\n`,
    "7:7: envs is a mapping and must be a list",
  ],
  [
    "an annotation that is made",
    `${START}${KERNEL}annotations:\n  com.urunc.unikernel.binary: /k\n`,
    "8:3: com.urunc.unikernel.binary is made of kernel",
  ],
  [
    "an annotation that is a list",
    `${START}${KERNEL}annotations:\n  a: [b]\n`,
    "8:6: a is a list and must be a string",
  ],
  [
    "urunit that is no word",
    `${START}${KERNEL}urunit: maybe\n`,
    "7:9: urunit is a single value and must be true or false",
  ],
  [
    "urunit of another framework",
    `${START.replace("linux", "mirage")}${KERNEL}urunit: true\n`,
    "7:1: urunit is an init for linux",
  ],
  ["a NUL", `${START}${KERNEL}cmd: ["a\\0"]\n`, "7:7: an entry of cmd has a NUL"],
])("%s is refused with its place", (_, text, sentence) => {
  expect(() => parse(text)).toThrow(`bunnyfile:${sentence}`);
});

test("an alias stands for its anchor, and one that leads nowhere is refused", () => {
  const file = parse(`${START}${KERNEL}cmd: &words [a]\nentrypoint: *words\n`);
  expect(file.entrypoint).toEqual(["a"]);
  expect(() => parse(`${START}${KERNEL}cmd: *none\n`)).toThrow("bunnyfile:7:6: *none stands for nothing");
  expect(() => parse(`${START}${KERNEL}cmd: &a [*a]\n`)).toThrow("bunnyfile:7:10: ");
});

test("a file of a megabyte is no bunnyfile", () => {
  expect(() => parse("a".repeat((1 << 20) + 1))).toThrow("which is no bunnyfile");
});

test.each([
  ["a  b\tc ", ["a", "b", "c"]],
  ["-g 'daemon off; x' \"y z\"", ["-g", "daemon off; x", "y z"]],
  ["a'b c'd", ["ab cd"]],
  ["''", [""]],
  ["", []],
  ["a 'b", undefined],
])("the command line %j", (text, words) => {
  expect(splitCommandLine(text)).toEqual(words as string[]);
});

test("words of a command line come back", () => {
  const words = ["/app", "two words", "", "x"];
  expect(splitCommandLine(joinCommandLine(words))).toEqual(words);
});
