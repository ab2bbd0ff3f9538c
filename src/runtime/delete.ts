import { existsSync } from "node:fs";
import { ContainerDirectory } from "../container/directory.ts";
import { checkContainerId } from "../oci/container-id.ts";
import { removeNetwork } from "../network/apply.ts";
import type { Context } from "./context.ts";
import { onlyId } from "./create.ts";
import { Engine } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";

export const DELETE_FLAGS: FlagSpecs = {
  force: { kind: "boolean", short: "f", help: "kill the container first if it still runs" },
};

/** `urunc delete`: the engine deletes the sandbox; what we keep of the container goes with it. */
export async function remove(context: Context, words: readonly string[]): Promise<number> {
  const flags = parseFlags(words, DELETE_FLAGS, "urunc delete");
  const id = checkContainerId(onlyId(flags, "delete"));
  const engine = new Engine(context);
  const directory = new ContainerDirectory(context.root, id);
  const status = engine.run(["delete", ...(flags.booleans["force"] ? ["--force"] : []), id]);
  // A create that was killed may have left a directory of which the engine knows nothing.
  if (status !== 0 && (engine.read(["state", id], true).status === 0 || !existsSync(directory.path))) return status;
  const record = directory.read();
  if (record?.kind === "vm") {
    const path = record.spec.linux?.namespaces?.find(({ type }) => type === "network")?.path;
    // A namespace without a path of its own went with the sandbox's last process, and the taps with it.
    if (path) await removeNetwork(path, id);
  }
  directory.remove();
  return status;
}
