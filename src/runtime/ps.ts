import { ContainerDirectory } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import { type GuestProcesses, parseProcesses } from "../guest/processes.ts";
import type { Context } from "./context.ts";
import { Engine } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { askGuest } from "./guest-query.ts";
import { parsePsOptions, renderPs } from "./ps-table.ts";
import { containerStatus } from "./status.ts";

export const PS_FLAGS: FlagSpecs = {
  format: {
    kind: "string",
    short: "f",
    help: "table (default): the guest's processes; json: the sandbox's ids",
  },
};

const NONE: GuestProcesses = { uptime: 1, now: 1, memory: 1, processes: [] };

/**
 * `urunc ps`: the guest's processes, by the ids that they have in the container. As JSON it is the host's ids, which
 * Docker and containerd take it for: they look for them in the host's own list.
 */
export async function ps(context: Context, words: readonly string[]): Promise<number> {
  const flags = parseFlags(words, PS_FLAGS, "urunc ps");
  const [id, ...options] = flags.rest;
  if (id === undefined)
    throw new UruncError("usage", "a container id is missing: urunc ps [flags] ID [ps options]");
  const format = flags.strings["format"] ?? "table";
  if (format !== "table" && format !== "json") {
    throw new UruncError("usage", `invalid format option ${JSON.stringify(format)}: use table or json`);
  }
  const engine: Engine = new Engine(context);
  const directory = new ContainerDirectory(context.root, id);
  if (format === "json" || directory.readWhole()?.kind !== "vm") engine.become(["ps", ...words]);
  const shown = parsePsOptions(options);
  const found = containerStatus(engine, id);
  if (found.kind === "unknown") return found.exitStatus;
  process.stdout.write(renderPs(shown, await processes(directory, found.status)));
  return 0;
}

async function processes(directory: ContainerDirectory, status: string): Promise<GuestProcesses> {
  // Of what has ended, and of what has not begun, there is nothing to show.
  if (status === "stopped" || status === "created") return NONE;
  if (status === "paused") {
    throw new UruncError(
      "state",
      "the virtual machine is paused and cannot list its processes: resume it first",
    );
  }
  return parseProcesses(await askGuest(directory, { verb: "ps", argument: "" }));
}
