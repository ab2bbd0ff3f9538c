import { expect, test } from "bun:test";
import Ajv from "ajv";
import { cloudHypervisorConfiguration } from "../../tests/harness/cloud-hypervisor-arguments.ts";
import { CLOUD_HYPERVISOR_CONFIGURATION } from "../../tests/harness/cloud-hypervisor-schema.ts";
import { cloudHypervisor } from "./cloud-hypervisor.ts";
import type { VmSpec } from "./vm-spec.ts";
import { DISKS, TAPS, vmSpec } from "./vm-spec-samples.ts";

const SPEC = vmSpec("/usr/bin/cloud-hypervisor");

const isConfiguration = new Ajv({ allErrors: true }).compile(CLOUD_HYPERVISOR_CONFIGURATION);
const argvOf = (change: Partial<VmSpec> = {}) => cloudHypervisor.plan({ ...SPEC, ...change }).argv;

test("a machine with disks and a network: the whole command line", () => {
  expect(argvOf({ drives: DISKS, network: TAPS })).toEqual([
    "/usr/bin/cloud-hypervisor",
    ...["--kernel", "/urunc/vmlinux"],
    ...["--initramfs", "/urunc/initramfs.cpio"],
    ...[
      "--cmdline",
      "console=ttyS0 reboot=k URUNIT_END=poweroff panic=-1 quiet noreplace-smp rcupdate.rcu_expedited=1",
    ],
    ...["--cpus", "boot=2", "--memory", "size=256M"],
    ...["--balloon", "size=0,deflate_on_oom=on,free_page_reporting=on"],
    "--disk",
    "path=/disks/lower,readonly=on,serial=lower,image_type=raw",
    "path=/disks/upper,readonly=off,serial=upper,image_type=raw",
    "--net",
    "tap=utap0,mac=02:42:ac:11:00:02",
    "tap=utap1,mac=02:42:ac:12:00:02",
    ...["--vsock", "cid=3,socket=/run/urunc/vsock.sock"],
    ...["--serial", "tty", "--console", "off"],
    ...["--seccomp", "true"],
  ]);
});

test("what the command line says is what Cloud Hypervisor's published schema allows", () => {
  for (const change of [
    {},
    { drives: DISKS },
    { network: TAPS },
    { drives: DISKS, network: TAPS, vcpus: 32 },
  ]) {
    isConfiguration(cloudHypervisorConfiguration(argvOf(change).slice(1)));
    expect(isConfiguration.errors).toBeNull();
  }
});

test("the schema and the reader find what Cloud Hypervisor would refuse", () => {
  expect(() => cloudHypervisorConfiguration(["--disks", "path=/a"])).toThrow("--disks is unknown");
  expect(() => cloudHypervisorConfiguration(["--disk", "file=/a"])).toThrow("file is unknown");
  expect(isConfiguration(cloudHypervisorConfiguration(["--kernel", "/k"]))).toBe(false);
  const small = ["--kernel", "/k", "--cpus", "boot=1", "--memory", "size=1G"];
  expect(isConfiguration(cloudHypervisorConfiguration(small))).toBe(true);
  expect(isConfiguration(cloudHypervisorConfiguration([...small, "--vsock", "cid=2,socket=/s"]))).toBe(false);
});

test("it has no capabilities and no files, and the agent arrives beside its vsock", () => {
  expect(cloudHypervisor.plan({ ...SPEC, network: TAPS })).toMatchObject({
    capabilities: [],
    devices: [{ path: "/dev/kvm" }, { path: "/dev/net/tun" }],
    agentSocket: "/run/urunc/vsock.sock_1024",
  });
  // As create plans it, before it is known which taps there will be.
  const planned = cloudHypervisor.plan({ ...SPEC, network: { kind: "tap", taps: [] } });
  expect(planned.devices.map(({ path }) => path)).toEqual(["/dev/kvm", "/dev/net/tun"]);
});

test("files are shared by a file server that it connects to, which alone has capabilities", () => {
  const share = {
    kind: "virtiofs",
    path: "/share",
    tag: "share",
    listenFd: 3,
    connectedFd: 5,
    server: { program: "/usr/libexec/virtiofsd", dialect: "rust" },
    socketPath: "/run/urunc/share.sock",
  } as const;
  const plan = cloudHypervisor.plan({ ...SPEC, share });
  const at = plan.argv.indexOf("--fs");
  expect(plan.argv.slice(at, at + 2)).toEqual(["--fs", "tag=share,socket=/run/urunc/share.sock"]);
  expect(plan.argv).toContain("size=256M,shared=on");
  expect(plan.fileServer?.slice(0, 2)).toEqual(["/usr/libexec/virtiofsd", "--fd=3"]);
  expect(plan.capabilities).toContain("CAP_SYS_CHROOT");
  expect(plan.overheadMiB).toBe(64);
  isConfiguration(cloudHypervisorConfiguration(plan.argv.slice(1)));
  expect(isConfiguration.errors).toBeNull();
});

test.each<[string, Partial<VmSpec>]>([
  ["Cloud Hypervisor needs hardware KVM", { acceleration: { kind: "tcg", tscKhz: 1_000_000 } }],
  [
    "Cloud Hypervisor shares no files by 9p",
    { share: { kind: "9p", path: "/share", tag: "share", readOnly: false } },
  ],
  ["Cloud Hypervisor needs a network namespace", { network: { kind: "user", mac: "02:00:00:00:00:01" } }],
  [
    "Cloud Hypervisor runs no kernel without the agent",
    { direct: { words: [], commandsFd: 6, controlFd: 7 } },
  ],
  ["Cloud Hypervisor has 1 to 32 processors here, not 0", { vcpus: 0 }],
])("refused: %s", (sentence, change) => {
  expect(() => cloudHypervisor.plan({ ...SPEC, ...change })).toThrow(sentence);
});
