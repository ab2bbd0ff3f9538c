import { UruncError } from "../errors.ts";
import { runInNamespace } from "./command.ts";
import type { LoopbackPlan } from "./pod-loopback.ts";

/**
 * Makes the loopback of the namespace at `path` lead to the guest. A host that cannot translate addresses is warned of:
 * the machine works, and is not found at 127.0.0.1 of its pod. May be called again for the next machine of a pod.
 */
export async function joinLoopback(
  path: string,
  plan: LoopbackPlan,
  warn: (sentence: string) => void,
): Promise<void> {
  try {
    await run(path, ["tee", `/proc/sys/${plan.route}`], "1");
    await run(path, ["iptables-restore", "--wait", "--noflush"], plan.rules);
    for (const [chain, own] of plan.jumps) {
      const jump = [chain, "--jump", own] as const;
      const known = await runInNamespace(
        path,
        ["iptables", "--wait", "--table", "nat", "--check", ...jump],
        "",
      );
      if (known.status !== 0)
        await run(path, ["iptables", "--wait", "--table", "nat", "--append", ...jump], "");
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    warn(
      `127.0.0.1 of the pod does not lead to the machine, as "kubectl port-forward" needs it: ${why} ` +
        "(it takes iptables and the kernel's address translation)",
    );
  }
}

async function run(path: string, argv: readonly [string, ...string[]], input: string): Promise<void> {
  const { status, stderr } = await runInNamespace(path, argv, input);
  if (status !== 0) throw new UruncError("network", `${argv[0]}: ${stderr.trim()}`);
}
