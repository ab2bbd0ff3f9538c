import { DEVICE_KVM, DEVICE_TUN } from "./devices.ts";
import { FILE_SERVER_CAPABILITIES, fileServerArguments } from "./file-server.ts";
import { AGENT_WORDS, kernelLine } from "./kernel-line.ts";
import { refuseForKvmOnly } from "./kvm-only.ts";
import type { Drive, Monitor, MonitorPlan, VmSpec, VmTap } from "./vm-spec.ts";
import { agentSocketOf, GUEST_CID } from "./vsock.ts";

/** Cloud Hypervisor, 51 or later: started by its command line, without its API. */
export const cloudHypervisor: Monitor = {
  name: "cloud-hypervisor",
  shares: ["virtiofs"],
  needsKvm: true,
  ordersDisks: false,
  plan,
};

/** Places on its one PCI bus, without the host bridge and its own random numbers, balloon and vsock. */
const MOST_DEVICES = 28;

/** MiB of its own, with a thread for each queue; and of the file server. */
const OVERHEAD_MIB = 48;
const FILE_SERVER_OVERHEAD_MIB = 16;

function plan(spec: VmSpec): MonitorPlan {
  refuseForKvmOnly(spec, { who: "Cloud Hypervisor", most: MOST_DEVICES, shares: cloudHypervisor.shares });
  const { drives, network, share } = spec;
  const taps = network.kind === "tap" ? network.taps : [];
  return {
    argv: [
      spec.program,
      ...["--kernel", spec.kernel],
      ...(spec.initrd === undefined ? [] : ["--initramfs", spec.initrd]),
      ...["--cmdline", commandLine(spec)],
      ...["--cpus", `boot=${spec.vcpus}`],
      // The file server puts what it reads into the guest's memory itself.
      ...["--memory", `size=${spec.memoryMiB}M${share.kind === "virtiofs" ? ",shared=on" : ""}`],
      // Pages that the guest has freed go back to the host.
      ...["--balloon", "size=0,deflate_on_oom=on,free_page_reporting=on"],
      ...(drives.length === 0 ? [] : ["--disk", ...drives.map(disk)]),
      ...(taps.length === 0 ? [] : ["--net", ...taps.map(net)]),
      ...(share.kind === "virtiofs" ? ["--fs", `tag=${share.tag},socket=${share.socketPath}`] : []),
      ...["--vsock", `cid=${GUEST_CID},socket=${spec.vsockPath}`],
      // Standard output; its virtio console would be a second one.
      ...["--serial", "tty", "--console", "off"],
      ...["--seccomp", "true"],
    ],
    ...(share.kind === "virtiofs"
      ? { fileServer: fileServerArguments(share.server, share.path, share.listenFd) }
      : {}),
    agentSocket: agentSocketOf(spec.vsockPath),
    devices: [DEVICE_KVM, ...(network.kind === "tap" ? [DEVICE_TUN] : [])],
    capabilities: share.kind === "virtiofs" ? FILE_SERVER_CAPABILITIES : [],
    overheadMiB: OVERHEAD_MIB + (share.kind === "virtiofs" ? FILE_SERVER_OVERHEAD_MIB : 0),
  };
}

function commandLine(spec: VmSpec): string {
  // The agent powers the machine off: a restart, as after a panic, starts it again until the stand-in ends it.
  const words = ["console=ttyS0", "reboot=k", "URUNIT_END=poweroff"];
  return kernelLine([...words, ...AGENT_WORDS, ...spec.kernelArguments]);
}

/** The type is said: to guess it would be to believe the guest, who writes the first bytes. */
function disk({ path, serial, readOnly }: Drive): string {
  return `path=${path},readonly=${readOnly ? "on" : "off"},serial=${serial},image_type=raw`;
}

/** The host's side is up and has its MTU; to set either takes a capability. */
function net({ tap, mac }: VmTap): string {
  return `tap=${tap},mac=${mac}`;
}
