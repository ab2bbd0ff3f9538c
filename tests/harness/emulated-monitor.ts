/**
 * A program in the place of Firecracker or Cloud Hypervisor, by its own name, on a host without KVM: it takes what that is
 * given, strictly, and boots the same kernel, disks, interfaces and vsock in QEMU, which emulates the processor. The
 * vsock's end on the host is `vsock-device.c`'s. All of that is in the sandbox as part of the guest's files
 * (`emulated-monitors.ts`).
 */
import { spawnSync } from "node:child_process";
import { existsSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import Ajv from "ajv";
import { cloudHypervisorConfiguration } from "./cloud-hypervisor-arguments.ts";
import { CLOUD_HYPERVISOR_CONFIGURATION } from "./cloud-hypervisor-schema.ts";
import { FIRECRACKER_CONFIGURATION } from "./firecracker-schema.ts";

/** Where the guest's files are in the sandbox. */
const FILES = "/urunc";
const QEMU = `${FILES}/qemu`;
/** The descriptor by which QEMU has the vsock's device. */
const VSOCK_FD = 9;

/** A machine, whichever of the two describes it. */
interface Machine {
  /** As `-M` of QEMU's has it. */
  readonly machine: string;
  /** Devices on PCI, or on a microvm's own bus. */
  readonly bus: "pci" | "device";
  readonly more: readonly string[];
  readonly kernel: string;
  readonly initrd: string | undefined;
  readonly line: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly disks: readonly { path: string; readOnly: boolean; serial: string }[];
  readonly interfaces: readonly { tap: string; mac: string | undefined }[];
  /** Of file servers by virtiofs. */
  readonly shares: readonly { tag: string; socket: string }[];
  readonly vsock: { readonly cid: number; readonly path: string };
}

interface FirecrackerConfiguration {
  "boot-source": { kernel_image_path: string; initrd_path?: string; boot_args: string };
  "machine-config": { vcpu_count: number; mem_size_mib: number };
  drives: { path_on_host: string; is_read_only: boolean; is_root_device: boolean }[];
  "network-interfaces"?: { host_dev_name: string; guest_mac?: string }[];
  vsock: { guest_cid: number; uds_path: string };
}

interface CloudHypervisorConfiguration {
  payload: { kernel: string; initramfs?: string; cmdline: string };
  cpus: { boot_vcpus: number };
  memory: { size: number; shared?: boolean };
  disks?: { path: string; readonly: boolean; serial: string }[];
  net?: { tap: string; mac?: string }[];
  fs?: { tag: string; socket: string }[];
  vsock: { cid: number; socket: string };
  serial: { mode: string };
  console: { mode: string };
}

function checked<T>(schema: object, value: unknown): T {
  const ajv = new Ajv({ allErrors: true });
  if (!ajv.validate(schema, value)) fail(`the configuration is not valid: ${ajv.errorsText()}`);
  return value as T;
}

function fail(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(152);
}

function firecracker(words: readonly string[]): Machine {
  const values = new Map<string, string>();
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    if (word === "--no-api") values.set(word, "");
    else if (["--id", "--config-file", "--log-path", "--level"].includes(word))
      values.set(word, words[++at] ?? "");
    else fail(`${word} is unknown`);
  }
  if (!/^[A-Za-z0-9-]{1,64}$/.test(values.get("--id") ?? "")) fail("the id is none");
  if (!values.has("--no-api")) fail("without an API alone is the configuration all there is");
  // It does not make the file.
  openSync(values.get("--log-path") ?? "", "r+");
  const text = readFileSync(values.get("--config-file") ?? "", "utf8");
  const configuration = checked<FirecrackerConfiguration>(FIRECRACKER_CONFIGURATION, JSON.parse(text));
  const { "boot-source": boot, "machine-config": size, drives, vsock } = configuration;
  if (drives.some(({ is_root_device }) => is_root_device)) fail("a root device changes the command line");
  return {
    machine: "microvm,acpi=on,pit=off,pic=off,rtc=on,auto-kernel-cmdline=off,ioapic2=on",
    bus: "device",
    more: ["-global", "virtio-mmio.force-legacy=false", "-device", "i8042", "-no-reboot"],
    kernel: boot.kernel_image_path,
    initrd: boot.initrd_path,
    line: boot.boot_args,
    memoryMiB: size.mem_size_mib,
    vcpus: size.vcpu_count,
    disks: drives.map(({ path_on_host: path, is_read_only: readOnly }) => ({
      path,
      readOnly,
      serial: deviceId(path),
    })),
    interfaces: (configuration["network-interfaces"] ?? []).map(({ host_dev_name: tap, guest_mac: mac }) => ({
      tap,
      mac,
    })),
    shares: [],
    vsock: { cid: vsock.guest_cid, path: vsock.uds_path },
  };
}

/** What Firecracker makes of a disk's file. */
function deviceId(path: string): string {
  const { dev, rdev, ino } = statSync(path);
  return `${dev}${rdev}${ino}`.slice(0, 20);
}

/** A machine that restarts is started again. */
function cloudHypervisor(words: readonly string[]): Machine {
  const configuration = checked<CloudHypervisorConfiguration>(
    CLOUD_HYPERVISOR_CONFIGURATION,
    cloudHypervisorConfiguration(words),
  );
  const { payload, cpus, memory, disks = [], net = [], fs = [], vsock } = configuration;
  if (fs.length > 0 && memory.shared !== true) fail("a file server cannot reach the guest's memory");
  if (configuration.serial.mode !== "Tty" || configuration.console.mode !== "Off") {
    fail("the console is not on the standard output");
  }
  return {
    machine: "q35,smm=off,vmport=off,sata=off,smbus=off",
    bus: "pci",
    more: [],
    kernel: payload.kernel,
    initrd: payload.initramfs,
    line: payload.cmdline,
    memoryMiB: memory.size / 1024 ** 2,
    vcpus: cpus.boot_vcpus,
    disks: disks.map(({ path, readonly: readOnly, serial }) => ({ path, readOnly, serial })),
    interfaces: net.map(({ tap, mac }) => ({ tap, mac })),
    shares: fs,
    vsock: { cid: vsock.cid, path: vsock.socket },
  };
}

/** The loader by which a program runs with the libraries that are beside it. */
function loaded(program: string): string[] {
  const libraries = [`${QEMU}/usr/lib/x86_64-linux-gnu`, `${QEMU}/usr/lib`, `${QEMU}/usr/lib64`];
  return [`${QEMU}/usr/lib64/ld-linux-x86-64.so.2`, "--library-path", libraries.join(":"), program];
}

function qemu(machine: Machine): string[] {
  const { bus, memoryMiB } = machine;
  const { stdout } = spawnSync(`${FILES}/urunc-standin`, ["--measure-tsc"], { encoding: "utf8" });
  // What an emulated processor needs of the kernel, which KVM's has from KVM.
  const emulation = `tsc_early_khz=${stdout.trim()} tsc=reliable no_timer_check lapic_timer_khz=1000000 keep_initmem`;
  const disks = machine.disks.map(({ path, readOnly, serial }, index) => [
    ...[
      "-blockdev",
      `driver=raw,node-name=d${index},read-only=${readOnly ? "on" : "off"},file.driver=file,file.filename=${path}`,
    ],
    ...["-device", `virtio-blk-${bus},drive=d${index},serial=${serial}`],
  ]);
  const interfaces = machine.interfaces.map(({ tap, mac }, index) => [
    ...["-netdev", `tap,id=n${index},ifname=${tap},script=no,downscript=no`],
    ...[
      "-device",
      `virtio-net-${bus},netdev=n${index}${mac ? `,mac=${mac}` : ""}${bus === "pci" ? ",romfile=" : ""}`,
    ],
  ]);
  const shares = machine.shares.map(({ tag, socket }, index) => [
    ...["-chardev", `socket,id=s${index},path=${socket}`],
    ...["-device", `vhost-user-fs-${bus},chardev=s${index},tag=${tag}`],
  ]);
  return [
    ...loaded(`${QEMU}/usr/bin/qemu-system-x86_64`),
    ...["-L", `${QEMU}/usr/share/qemu`, "-L", `${QEMU}/usr/share/seabios`],
    ...["-no-user-config", "-nodefaults", "-display", "none"],
    ...["-M", `${machine.machine},memory-backend=memory`],
    ...["-object", `memory-backend-memfd,id=memory,size=${memoryMiB}M,share=on`],
    ...["-m", `${memoryMiB}M`, "-smp", String(machine.vcpus)],
    ...["-accel", "tcg,tb-size=64", "-cpu", "max"],
    ...["-kernel", machine.kernel, "-append", `${machine.line} ${emulation}`],
    ...(machine.initrd === undefined ? [] : ["-initrd", machine.initrd]),
    ...["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"],
    ...["-chardev", `socket,id=vsock,fd=${VSOCK_FD}`],
    ...["-device", `vhost-user-vsock-${bus},chardev=vsock`],
    ...machine.more,
    ...shares.flat(),
    ...disks.flat(),
    ...interfaces.flat(),
  ];
}

const kind = basename(process.execPath);
const words = process.argv.slice(2);
if (words[0] === "--version") {
  console.log(kind === "firecracker" ? "Firecracker v1.7.0" : "cloud-hypervisor v51.0");
  process.exit(0);
}
// What the real one opens first.
if (!existsSync("/dev/kvm") || !fstatSync(1).isSocket()) fail("the sandbox has no /dev/kvm, or no console");
const machine = kind === "firecracker" ? firecracker(words) : cloudHypervisor(words);
if (existsSync(machine.vsock.path)) fail(`${machine.vsock.path} is there: binding it would fail`);
const device = `${FILES}/vsock-device`;
const { path, cid } = machine.vsock;
process.execve?.(device, [device, path, String(cid), String(VSOCK_FD), ...qemu(machine)], {
  QEMU_MODULE_DIR: `${QEMU}/usr/lib/x86_64-linux-gnu/qemu`,
});
