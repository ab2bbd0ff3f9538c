import { existsSync } from "node:fs";
import { UruncError } from "../errors.ts";
import { type CommandResult, runInNamespace } from "./command.ts";
import { readNamespace } from "./namespace.ts";
import { type NetworkPlan, ownPairs, redirectRemoval, type TapPair, tapRemoval } from "./plan.ts";

/**
 * Does in the namespace at `path` what a plan says: removes leftovers, makes the taps, then the redirects. If
 * something fails, what was made is removed and UruncError("network") is thrown.
 */
export async function applyPlan(path: string, plan: NetworkPlan): Promise<void> {
  await removePairs(path, plan.leftovers);
  if (plan.pairs.length === 0) return;
  const taps = await runInNamespace(path, ["ip", "-batch", "-"], plan.ipBatch);
  if (taps.status !== 0) {
    // No redirect exists yet. A tap that could not be made is not ours to remove.
    const commands = plan.ipBatch.split("\n").slice(0, failedLine(taps) - 1);
    const made = plan.pairs.filter((pair) =>
      commands.some((command) => command.startsWith(`tuntap add dev ${pair.tap} `)),
    );
    await removePairs(
      path,
      made.map(({ tap }) => ({ tap })),
    );
    throw tapError(taps);
  }
  if (plan.localPorts !== undefined) await setLocalPorts(path, plan.localPorts, plan.pairs);
  const redirects = await runInNamespace(path, ["tc", "-batch", "-"], plan.tcBatch);
  if (redirects.status !== 0) {
    // An ingress queueing discipline that was there before belongs to somebody else: it stays.
    const commands = plan.tcBatch.split("\n").slice(0, failedLine(redirects) - 1);
    const made = plan.pairs.map((pair) =>
      commands.includes(`qdisc add dev ${pair.interface} ingress`) ? pair : { tap: pair.tap },
    );
    await removePairs(path, made);
    throw redirectError(redirects);
  }
}

/**
 * Takes away what was made for a container in the namespace at `path`. May be called any number of times; a
 * namespace that is gone took everything with it. Throws UruncError("network").
 */
export async function removeNetwork(path: string, containerId: string): Promise<void> {
  if (!existsSync(path)) return;
  try {
    await removePairs(path, ownPairs(await readNamespace(path), containerId));
  } catch (error) {
    if (existsSync(path)) throw error;
  }
}

async function setLocalPorts(path: string, range: string, made: readonly TapPair[]): Promise<void> {
  const file = "/proc/sys/net/ipv4/ip_local_port_range";
  const result = await runInNamespace(path, ["tee", file], range);
  if (result.status === 0) return;
  await removePairs(
    path,
    made.map(({ tap }) => ({ tap })),
  );
  throw new UruncError("network", `the resolver's ports cannot be set in ${path}: ${result.stderr.trim()}`);
}

/** Redirects first: as long as one exists, the tap that says whose it is must exist. */
async function removePairs(path: string, pairs: readonly TapPair[]): Promise<void> {
  if (pairs.length === 0) return;
  const redirects = redirectRemoval(pairs);
  // What is missing already is as it should be; only what the taps' removal leaves behind is an error.
  if (redirects !== "") await runInNamespace(path, ["tc", "-force", "-batch", "-"], redirects);
  const taps = await runInNamespace(path, ["ip", "-force", "-batch", "-"], tapRemoval(pairs));
  const failures = taps.stderr
    .split("\n")
    .filter(
      (line) => line !== "" && !line.startsWith("Cannot find device") && !line.startsWith("Command failed"),
    );
  if (failures.length > 0) {
    throw new UruncError("network", `a tap cannot be removed from ${path}: ip: ${failures.join("; ")}`);
  }
}

/** The line of the batch at which `ip` or `tc` stopped, from 1. */
function failedLine(result: CommandResult): number {
  return Number(/Command failed -:([0-9]+)/.exec(result.stderr)?.[1] ?? 1);
}

function tapError(result: CommandResult): UruncError {
  const cause = result.stderr.trim();
  const sentence = (text: string) => new UruncError("network", text, { cause });
  if (/^open: No such (file|device)/m.test(cause)) {
    return sentence("/dev/net/tun is missing, so that no tap can be made; load it with: modprobe tun");
  }
  if (cause.includes("Operation not permitted")) return sentence(`making a tap is not permitted: ${cause}`);
  if (cause.includes("Device or resource busy")) {
    return sentence(
      "another start is making a tap in this network namespace; two virtual machines cannot share one",
    );
  }
  return sentence(`a tap cannot be made: ip: ${cause}`);
}

function redirectError(result: CommandResult): UruncError {
  const cause = result.stderr.trim();
  const sentence = (text: string) => new UruncError("network", text, { cause });
  if (cause.includes("Cannot find device")) {
    return sentence("an interface went away while the container was starting; start it again");
  }
  if (cause.includes("Exclusivity flag on") || cause.includes("File exists")) {
    return sentence(
      "the container's interface already has an ingress queueing discipline; " +
        "another virtual machine or a network plugin uses it",
    );
  }
  if (/unknown|Failed to load|not found|No such file/i.test(cause)) {
    return sentence(
      "this kernel cannot redirect packets; load it with: modprobe -a sch_ingress cls_u32 act_mirred " +
        `(tc: ${cause})`,
    );
  }
  return sentence(`packets cannot be redirected to the tap: tc: ${cause}`);
}
