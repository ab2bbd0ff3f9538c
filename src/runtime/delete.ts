import { ContainerDirectory } from "../container/directory.ts";
import { checkContainerId } from "../oci/container-id.ts";
import type { Context } from "./context.ts";
import { onlyId } from "./create.ts";
import { discard } from "./discard.ts";
import { Engine } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { removeLeftCgroups } from "./left-cgroups.ts";
import { endUnfinishedCreate } from "./unfinished-create.ts";

export const DELETE_FLAGS: FlagSpecs = {
  force: { kind: "boolean", short: "f", help: "kill the container first if it still runs" },
};

/** `urunc delete`: the engine deletes the sandbox; what we keep of the container goes with it. */
export async function remove(context: Context, words: readonly string[]): Promise<number> {
  const flags = parseFlags(words, DELETE_FLAGS, "urunc delete");
  const id = checkContainerId(onlyId(flags, "delete"));
  const engine = new Engine(context);
  const directory = new ContainerDirectory(context.root, id);
  const force = flags.booleans["force"] === true;
  if (force) await endUnfinishedCreate(directory);
  // Deleted by the engine before, but not by us: there was an error, and this is the next try.
  const ours = !force && directory.isCreated() && engine.read(["state", id], true).status !== 0;
  if (!ours) {
    const status = engine.run(["delete", ...(force ? ["--force"] : []), id]);
    if (status !== 0) return status;
  }
  const record = directory.read();
  if (force && record?.kind === "vm" && !directory.isCreated()) {
    await removeLeftCgroups(record.spec.linux?.cgroupsPath);
  }
  await discard(directory, context.log);
  return 0;
}
