import { ContainerDirectory, type VmRecord } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import { type GuestStatistics, parseStatistics } from "../guest/statistics.ts";
import type { Context } from "./context.ts";
import { onlyId } from "./create.ts";
import { parseDuration } from "./duration.ts";
import { Engine } from "./engine.ts";
import { eventsData } from "./events-data.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { askGuest } from "./guest-query.ts";
import { SandboxProcess } from "./sandbox-process.ts";
import { containerStatus } from "./status.ts";

export const EVENTS_FLAGS: FlagSpecs = {
  interval: { kind: "string", help: "the time between statistics (default: 5s)" },
  stats: { kind: "boolean", help: "print the statistics once" },
};

/** Milliseconds between looks at whether the container still runs, and between counts of what lacked memory. */
const LOOK = 200;
const COUNT = 1000;

/** So that of the engine's events only those come that are no statistics. */
const NO_STATISTICS = "87600h";

/** `urunc events`: the guest's statistics, and what was killed for lack of memory, one JSON object a line. */
export async function events(context: Context, words: readonly string[]): Promise<number> {
  const flags = parseFlags(words, EVENTS_FLAGS, "urunc events");
  const id = onlyId(flags, "events");
  const interval = parseDuration(flags.strings["interval"] ?? "5s", "interval");
  const engine: Engine = new Engine(context);
  const directory = new ContainerDirectory(context.root, id);
  const record = directory.readWhole();
  if (record?.kind !== "vm") engine.become(["events", ...words]);
  const found = containerStatus(engine, id);
  if (found.kind === "unknown") return found.exitStatus;
  const { status } = found;
  if (status === "stopped") throw new UruncError("state", `container with id ${id} is not running`);
  if (flags.booleans["stats"]) {
    if (status === "created") throw new UruncError("state", `container with id ${id} has not been started`);
    if (status === "paused") {
      throw new UruncError("state", "the virtual machine is paused and cannot give figures: resume it first");
    }
    printStatistics(record, await statistics(directory));
    return 0;
  }
  return await follow(engine, directory, record, SandboxProcess.of(found.pid), interval);
}

async function statistics(directory: ContainerDirectory): Promise<GuestStatistics> {
  return parseStatistics(await askGuest(directory, { verb: "stats", argument: "" }));
}

function printStatistics(record: VmRecord, guest: GuestStatistics): void {
  print(record.id, "stats", eventsData(guest, record.memoryMiB * 1024 * 1024));
}

function print(id: string, type: "stats" | "oom", data?: object): void {
  process.stdout.write(`${JSON.stringify({ type, id, ...(data === undefined ? {} : { data }) })}\n`);
}

/** Until the container ends. Of the engine come events of the sandbox: it lacked memory if the main process did. */
async function follow(
  engine: Engine,
  directory: ContainerDirectory,
  record: VmRecord,
  sandbox: SandboxProcess | undefined,
  interval: number,
): Promise<number> {
  const ofSandbox = engine.follow(["events", "--interval", NO_STATISTICS, record.id], (line) => {
    if (/^\{"type":"oom"/.test(line)) print(record.id, "oom");
  });
  let [next, counted, killed]: [number, number, number | undefined] = [
    performance.now() + interval,
    0,
    undefined,
  ];
  while (sandbox?.isAlive()) {
    await Bun.sleep(Math.min(LOOK, interval));
    const now = performance.now();
    if (now < next && now < counted + COUNT) continue;
    counted = now;
    const guest = await whileItRuns(engine, directory, record.id);
    if (guest === undefined) continue;
    const kills = guest.memoryEvents["oom_kill"] ?? 0;
    if (killed !== undefined && kills > killed) print(record.id, "oom");
    killed = kills;
    if (now < next) continue;
    printStatistics(record, guest);
    next = now + interval;
  }
  // Its last event may still be on its way.
  await Bun.sleep(LOOK);
  ofSandbox.stop();
  await ofSandbox.ended;
  return 0;
}

/** Undefined of a machine that cannot answer now: it is paused, not started, or ended meanwhile. */
async function whileItRuns(
  engine: Engine,
  directory: ContainerDirectory,
  id: string,
): Promise<GuestStatistics | undefined> {
  const found = containerStatus(engine, id, true);
  if (found.kind === "unknown" || found.status !== "running") return undefined;
  try {
    return await statistics(directory);
  } catch (error) {
    if (error instanceof UruncError && error.code === "state") return undefined;
    throw error;
  }
}
