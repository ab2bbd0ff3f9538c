import { posix } from "node:path";
import { DEVICE_KVM, DEVICE_TUN } from "./devices.ts";
import { AGENT_WORDS, kernelLine } from "./kernel-line.ts";
import { refuseForKvmOnly } from "./kvm-only.ts";
import type { Drive, Monitor, MonitorPlan, VmSpec } from "./vm-spec.ts";
import { agentSocketOf, GUEST_CID } from "./vsock.ts";

/** Firecracker, 1.7 or later: started by a configuration file, without its API. */
export const firecracker: Monitor = {
  name: "firecracker",
  shares: [],
  needsKvm: true,
  // It takes no serial, and makes one of what the file is on the host.
  ordersDisks: true,
  plan,
};

/** The configuration's name, beside the vsock. */
const CONFIGURATION = "firecracker.json";

/** Interrupts that it has for virtio devices, 5 to 23, without the vsock's. */
const MOST_DEVICES = 18;

/** Bytes that it adds to the command line for each device: ` virtio_mmio.device=4K@0xd0000000:5`, and room. */
const WORD_OF_DEVICE = 48;

/** MiB of its own: it says of itself less than 5, to which the kernel's tables of the guest's memory come. */
const OVERHEAD_MIB = 16;

function plan(spec: VmSpec): MonitorPlan {
  refuseForKvmOnly(spec, { who: "Firecracker", most: MOST_DEVICES, shares: firecracker.shares });
  const path = posix.join(posix.dirname(spec.vsockPath), CONFIGURATION);
  return {
    argv: [
      spec.program,
      ...["--id", instanceId(spec.name)],
      "--no-api",
      ...["--config-file", path],
      // Its own messages; standard output is the guest's console.
      ...["--log-path", "/proc/self/fd/2", "--level", "Error"],
    ],
    files: [{ path, contents: `${JSON.stringify(configuration(spec), undefined, 2)}\n` }],
    agentSocket: agentSocketOf(spec.vsockPath),
    devices: [DEVICE_KVM, ...(spec.network.kind === "tap" ? [DEVICE_TUN] : [])],
    capabilities: [],
    overheadMiB: OVERHEAD_MIB,
  };
}

/** Letters, digits and dashes, at most 64. */
function instanceId(name: string): string {
  return name.replace(/[^A-Za-z0-9-]/g, "-").slice(0, 64) || "urunc";
}

/** By the schema of its API (`FullVmConfiguration`), whose parts the file has as they are. */
function configuration(spec: VmSpec): object {
  const { network } = spec;
  return {
    "boot-source": {
      kernel_image_path: spec.kernel,
      ...(spec.initrd === undefined ? {} : { initrd_path: spec.initrd }),
      boot_args: bootArguments(spec),
    },
    "machine-config": { vcpu_count: spec.vcpus, mem_size_mib: spec.memoryMiB, smt: false },
    drives: spec.drives.map(drive),
    "network-interfaces": (network.kind === "tap" ? network.taps : []).map(({ tap, mac }, index) => ({
      iface_id: `net${index}`,
      host_dev_name: tap,
      guest_mac: mac,
    })),
    vsock: { guest_cid: GUEST_CID, uds_path: spec.vsockPath },
  };
}

function drive({ path, readOnly }: Drive, index: number): object {
  return {
    drive_id: `disk${index}`,
    path_on_host: path,
    is_read_only: readOnly,
    // It would write the kernel's command line.
    is_root_device: false,
    // What the guest flushes is written, which it is not by default.
    cache_type: readOnly ? "Unsafe" : "Writeback",
  };
}

function bootArguments(spec: VmSpec): string {
  const words = [
    "console=ttyS0",
    // By the keyboard's controller, which is the one device that ends the machine.
    "reboot=k",
    // There is no PCI bus, and looking for one takes time.
    "pci=off",
    ...AGENT_WORDS,
    ...spec.kernelArguments,
  ];
  return kernelLine(words, (MOST_DEVICES + 1) * WORD_OF_DEVICE);
}
