import { existsSync, realpathSync } from "node:fs";
import { dirname, isAbsolute } from "node:path";
import { UruncError } from "../errors.ts";
import type { Changes } from "../node/install.ts";
import type { Context } from "./context.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";

export const NODE_FLAGS: FlagSpecs = {
  "host-root": { kind: "string", help: "where the node's root directory is (default: /)" },
  "no-restart": {
    kind: "boolean",
    help: "leave it to somebody else that containerd reads its configuration",
  },
  label: { kind: "boolean", help: "label the node that this pod is on (NODE_NAME)" },
};

/** `urunc node install|remove`: makes this machine a node of Kubernetes on which pods may be machines. */
export async function node(_: Context, words: readonly string[]): Promise<number> {
  const [what, ...more] = words;
  if (what !== "install" && what !== "remove") {
    throw new UruncError("usage", 'urunc node takes "install" or "remove": see urunc node --help');
  }
  const { strings, booleans, rest } = parseFlags(more, NODE_FLAGS, `urunc node ${what}`);
  if (rest.length > 0) throw new UruncError("usage", `urunc node ${what} takes no argument`);
  const root = strings["host-root"] ?? "/";
  if (!isAbsolute(root) || !existsSync(root)) {
    throw new UruncError(
      "usage",
      `--host-root is an absolute path of a directory, not ${JSON.stringify(root)}`,
    );
  }
  // By hand only: no other call shall load it.
  const { installOnNode, NODE_PREFIX, removeFromNode, restarted } = await import("../node/install.ts");
  const { labelNode } = await import("../node/label.ts");
  const { restart } = await import("../node/restart.ts");
  // Pods are not to be sent to a node that is about to lose what runs them.
  if (what === "remove" && booleans["label"]) await labelNode(false);
  const changes = what === "install" ? installOnNode(root, ownPrefix()) : removeFromNode(root);
  const files = what === "install" ? `urunc is in ${NODE_PREFIX}` : `${NODE_PREFIX} is removed`;
  process.stdout.write(`${files}; ${ofContainerd(changes)}\n`);
  if (!booleans["no-restart"]) restart(changes.units);
  restarted(root);
  if (what === "install" && booleans["label"]) await labelNode(true);
  return 0;
}

/** Where this executable is installed: `PREFIX/bin/urunc`. */
function ownPrefix(): string {
  return dirname(dirname(realpathSync(process.execPath)));
}

function ofContainerd({ configured }: Changes): string {
  if (configured.length === 0) return "containerd's configuration is as it was";
  return `changed: ${configured.join(", ")}`;
}
