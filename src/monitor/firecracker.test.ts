import { expect, test } from "bun:test";
import Ajv from "ajv";
import { FIRECRACKER_CONFIGURATION } from "../../tests/harness/firecracker-schema.ts";
import { firecracker } from "./firecracker.ts";
import type { VmSpec } from "./vm-spec.ts";
import { DISKS, TAPS, vmSpec } from "./vm-spec-samples.ts";

const SPEC = vmSpec("/usr/bin/firecracker");

const isConfiguration = new Ajv({ allErrors: true }).compile(FIRECRACKER_CONFIGURATION);

function configurationOf(change: Partial<VmSpec> = {}) {
  const [file, ...more] = firecracker.plan({ ...SPEC, ...change }).files ?? [];
  expect(more).toEqual([]);
  return JSON.parse(file?.contents ?? "");
}

test("a machine with disks and a network: the whole configuration", () => {
  const configuration = configurationOf({ drives: DISKS, network: TAPS });
  expect(configuration).toEqual({
    "boot-source": {
      kernel_image_path: "/urunc/vmlinux",
      initrd_path: "/urunc/initramfs.cpio",
      boot_args: "console=ttyS0 reboot=k pci=off panic=-1 quiet noreplace-smp rcupdate.rcu_expedited=1",
    },
    "machine-config": { vcpu_count: 2, mem_size_mib: 256, smt: false },
    drives: [
      {
        drive_id: "disk0",
        path_on_host: "/disks/lower",
        is_read_only: true,
        is_root_device: false,
        cache_type: "Unsafe",
      },
      {
        drive_id: "disk1",
        path_on_host: "/disks/upper",
        is_read_only: false,
        is_root_device: false,
        cache_type: "Writeback",
      },
    ],
    "network-interfaces": [
      { iface_id: "net0", host_dev_name: "utap0", guest_mac: "02:42:ac:11:00:02" },
      { iface_id: "net1", host_dev_name: "utap1", guest_mac: "02:42:ac:12:00:02" },
    ],
    vsock: { guest_cid: 3, uds_path: "/run/urunc/vsock.sock" },
  });
});

test("the configuration is what Firecracker's published schema allows", () => {
  const { initrd: _, ...bare } = SPEC;
  for (const change of [
    {},
    { drives: DISKS },
    { network: TAPS },
    { drives: DISKS, network: TAPS, vcpus: 32 },
  ]) {
    isConfiguration(configurationOf(change));
    expect(isConfiguration.errors).toBeNull();
  }
  isConfiguration(JSON.parse(firecracker.plan(bare).files?.[0]?.contents ?? ""));
  expect(isConfiguration.errors).toBeNull();
});

test("the schema finds what Firecracker would refuse", () => {
  const good = configurationOf({ drives: DISKS });
  const [disk] = good.drives;
  for (const wrong of [
    { ...good, machine: {} },
    { ...good, drives: undefined },
    { ...good, drives: [{ ...disk, serial: "lower" }] },
    { ...good, "machine-config": { vcpu_count: 33, mem_size_mib: 256 } },
    { ...good, vsock: { guest_cid: 2, uds_path: "/v" } },
  ]) {
    expect(isConfiguration(JSON.parse(JSON.stringify(wrong)))).toBe(false);
  }
});

test("it is started without its API, by the file, with its own messages apart from the console", () => {
  const plan = firecracker.plan({ ...SPEC, name: "pod_1.a" });
  expect(plan.argv).toEqual([
    "/usr/bin/firecracker",
    ...["--id", "pod-1-a", "--no-api"],
    ...["--config-file", "/run/urunc/firecracker.json"],
    ...["--log-path", "/proc/self/fd/2", "--level", "Error"],
  ]);
  expect(plan.files?.[0]?.path).toBe("/run/urunc/firecracker.json");
  expect(plan.agentSocket).toBe("/run/urunc/vsock.sock_1024");
  expect(firecracker.plan({ ...SPEC, name: "a".repeat(200) }).argv[2]).toBe("a".repeat(64));
});

test("it has no capabilities, and the devices that it uses", () => {
  expect(firecracker.plan(SPEC)).toMatchObject({ capabilities: [], devices: [{ path: "/dev/kvm" }] });
  expect(firecracker.plan({ ...SPEC, network: TAPS }).devices.map(({ path }) => path)).toEqual([
    "/dev/kvm",
    "/dev/net/tun",
  ]);
});

test("disks keep their order, by which the guest knows them", () => {
  expect(firecracker.ordersDisks).toBe(true);
  const paths = configurationOf({ drives: [...DISKS].reverse() }).drives.map(
    ({ path_on_host }: { path_on_host: string }) => path_on_host,
  );
  expect(paths).toEqual(["/disks/upper", "/disks/lower"]);
});

test.each<[string, Partial<VmSpec>]>([
  ["Firecracker needs hardware KVM", { acceleration: { kind: "tcg", tscKhz: 1_000_000 } }],
  [
    "Firecracker shares no files by 9p",
    { share: { kind: "9p", path: "/share", tag: "share", readOnly: false } },
  ],
  ["Firecracker needs a network namespace", { network: { kind: "user", mac: "02:00:00:00:00:01" } }],
  ["Firecracker runs no kernel without the agent", { direct: { words: [], commandsFd: 6, controlFd: 7 } }],
  ["Firecracker has 1 to 32 processors here, not 33", { vcpus: 33 }],
  [
    "Firecracker has places for 18 disks and network interfaces, not 19",
    { network: { kind: "tap", taps: Array.from({ length: 19 }, () => TAPS.taps[0]) } },
  ],
  ["bytes, and the kernel keeps 2047", { kernelArguments: ["x".repeat(1200)] }],
])("refused: %s", (sentence, change) => {
  expect(() => firecracker.plan({ ...SPEC, ...change })).toThrow(sentence);
});
