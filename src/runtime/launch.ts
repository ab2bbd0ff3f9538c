import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { directBoot } from "../container/direct.ts";
import { type ContainerDirectory, type VmRecord, writeAtomically } from "../container/directory.ts";
import { withDeviceNames } from "../container/disk-names.ts";
import { planGuest } from "../container/guest-plan.ts";
import { isInPod, plainContainers } from "../container/pod.ts";
import { readResolvConf } from "../container/resolv-conf.ts";
import { exhaustingMemory, sandboxResources } from "../container/resources.ts";
import { ordinaryUser } from "../container/rootless.ts";
import { diskPlace } from "../container/sandbox.ts";
import { vmSpec } from "../container/vm.ts";
import { UruncError } from "../errors.ts";
import { type AgentDocuments, encodeLaunch } from "../guest/launch.ts";
import { encodeMachine } from "../guest/machine.ts";
import { encodeProcess } from "../guest/process.ts";
import { recordedMonitor } from "../monitor/monitors.ts";
import { applyPlan, removeNetwork } from "../network/apply.ts";
import type { GuestNetwork } from "../network/guest-network.ts";
import { joinLoopback } from "../network/join-loopback.ts";
import { readNamespace } from "../network/namespace.ts";
import { planNetwork } from "../network/plan.ts";
import { parsePublished } from "../network/published.ts";
import { carriedResolvers, type Resolver } from "../network/resolvers.ts";
import { readOwnSwitches, readSwitches, type Switch } from "../network/switches.ts";
import { userNetwork } from "../network/user-network.ts";
import { vmNetwork } from "../network/vm-network.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import { machineDisks } from "../rootfs/source.ts";
import { makeCarriedInitrd } from "./carried-initrd.ts";
import { makeDirectInitrd } from "./direct-initrd.ts";
import { withLimits } from "./inherited-limits.ts";
import { putRootDeviceBack, takeRootDevice } from "./root-device.ts";

/**
 * Connects the container's network to the machine that is about to start, and writes the launch document.
 *
 * @param namespace path of the container's network namespace, which is final
 * @param warn is told what the machine does without
 * @param unready the sandbox's process, where the sandbox is not ready yet
 * @throws UruncError `network` and others; nothing of the network is left then
 */
export async function prepareLaunch(
  directory: ContainerDirectory,
  record: VmRecord,
  namespace: string,
  warn: (sentence: string) => void,
  unready?: number,
): Promise<void> {
  const host = sameFile(namespace, "/proc/self/ns/net");
  // Without the agent nobody in the guest hands on what is asked of them.
  const resolvers = record.way.direct
    ? []
    : carriedResolvers(readResolvConf(record.spec, record.bundle), host ? "host" : "own");
  const { network, switches } = host
    ? { network: userNetwork(parsePublished(record.spec.annotations)), switches: readOwnSwitches() }
    : await connectNetwork(namespace, record, resolvers.length > 0, warn);
  try {
    const boot = record.way.direct ? directBoot(record, network) : undefined;
    if (boot !== undefined) makeDirectInitrd(directory, record, boot);
    if (record.initramfs !== undefined) makeCarriedInitrd(directory, record.initramfs, record);
    const monitor = recordedMonitor(record.monitor).plan(vmSpec(record, vmNetwork(network), boot));
    for (const { path, contents } of monitor.files ?? []) {
      writeAtomically(join(directory.vm, basename(path)), contents);
    }
    const sandbox = sandboxResources(
      record.spec.linux?.resources,
      record.memoryMiB,
      monitor.overheadMiB,
      monitor.devices,
    );
    const exclusive = machineDisks(record.way).filter(({ device }) => device !== undefined);
    const memoryLimit = exhaustingMemory(sandbox);
    const launch = encodeLaunch({
      monitor: [...monitor.argv],
      ...(monitor.fileServer === undefined ? {} : { fileServer: monitor.fileServer }),
      agent: boot === undefined ? agentDocuments(record, { network, switches, resolvers }) : undefined,
      ...(monitor.agentSocket === undefined
        ? {}
        : { agentSocket: monitor.agentSocket, consoleOnStdio: true }),
      terminal: record.spec.process.terminal === true,
      bootTimeout: record.bootTimeout,
      attached: record.attached === true,
      exclusive: exclusive.map(diskPlace),
      ...(memoryLimit === undefined ? {} : { memoryLimit }),
      resolvers,
    });
    await takeRootDevice(directory, record, unready);
    writeAtomically(directory.launch, launch);
  } catch (error) {
    putRootDeviceBack(directory, record);
    if (network.kind === "tap") await removeNetwork(namespace, record.id);
    throw error;
  }
}

function agentDocuments(
  record: VmRecord,
  {
    network,
    switches,
    resolvers,
  }: { network: GuestNetwork; switches: readonly Switch[]; resolvers: readonly Resolver[] },
): AgentDocuments {
  const size = { memoryMiB: record.memoryMiB, vcpus: record.vcpus };
  const plan = planGuest(record.spec, size, record.hostname, record.share.kind, record.way);
  const named = recordedMonitor(record.monitor).ordersDisks
    ? withDeviceNames(
        plan.machine,
        plan.disks.map(({ serial }) => serial),
      )
    : plan.machine;
  // What the container asks for comes last, and so prevails.
  const machine = { ...named, sysctls: [...switches, ...named.sysctls] };
  return {
    machine: encodeMachine(machine, network, resolvers),
    process: encodeProcess(withLimits(record.spec.process, record.limits), {
      ...record,
      notFirst: !hasOwnProcesses(record.spec),
    }),
  };
}

/** Whether it has a PID namespace of its own, in which its program is process 1. */
function hasOwnProcesses(spec: Spec): boolean {
  return spec.linux?.namespaces?.some(({ type, path }) => type === "pid" && !path) ?? false;
}

async function connectNetwork(
  namespace: string,
  { id, spec, way }: VmRecord,
  resolves: boolean,
  warn: (sentence: string) => void,
): Promise<{ network: GuestNetwork; switches: Switch[] }> {
  // Without root nobody can have put an interface into it, or set anything.
  if (ordinaryUser() !== undefined) return { network: { kind: "none" }, switches: [] };
  const [found, switches] = await Promise.all([readNamespace(namespace), readSwitches(namespace)]);
  const ports = plainContainers(spec.annotations)?.flatMap(({ ports }) => ports);
  const pod = { joined: isInPod(spec.annotations) && !way.direct, ...(ports === undefined ? {} : { ports }) };
  const plan = planNetwork(found, id, { resolves, pod });
  await applyPlan(namespace, plan);
  if (plan.loopback !== undefined) await joinLoopback(namespace, plan.loopback, warn);
  return { network: plan.guest, switches };
}

function sameFile(one: string, other: string): boolean {
  try {
    const [a, b] = [statSync(one), statSync(other)];
    return a.ino === b.ino && a.dev === b.dev;
  } catch (cause) {
    throw new UruncError(
      "state",
      "the container's process is gone: delete the container and create it again",
      {
        cause,
      },
    );
  }
}
