import { connectHook } from "./connect.ts";
import type { Context } from "./context.ts";
import { CREATE_FLAGS, create, engineCreateFlags, onlyId } from "./create.ts";
import { remove } from "./delete.ts";
import { discard } from "./discard.ts";
import { ENGINE_KILLED, Engine } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { type Prepared, prepareContainer } from "./prepare.ts";
import { holdRootDevice } from "./root-device.ts";
import { start } from "./start.ts";
import { StartReport } from "./start-report.ts";

const OWN_FLAGS: FlagSpecs = {
  detach: { kind: "boolean", short: "d", help: "do not wait for the container's end" },
  keep: { kind: "boolean", help: "do not delete the container when it has ended" },
  "no-subreaper": { kind: "boolean", help: "do not reap the container's orphans, as runc has it" },
};

export const RUN_FLAGS: FlagSpecs = { ...CREATE_FLAGS, ...OWN_FLAGS };

/**
 * `urunc run`: create, start, wait, delete; the exit status is the application's.
 *
 * @param attached the machine ends with this process, however that ends, as no engine's does
 * @param onStarted called once the application runs: what the engine ends with before that is its own failure
 */
export async function run(
  context: Context,
  words: readonly string[],
  { attached = false, onStarted = () => {} }: { attached?: boolean; onStarted?: () => void } = {},
): Promise<number> {
  const flags = parseFlags(words, RUN_FLAGS, "urunc run");
  const id = onlyId(flags, "run");
  if (flags.booleans["detach"]) return runDetached(context, words, id);
  const passed = engineCreateFlags(flags);
  for (const name of ["keep", "no-subreaper"]) if (flags.booleans[name]) passed.push(`--${name}`);
  const engine = new Engine(context);
  const configFile = flags.strings["config"];
  const prepared = await prepareContainer(context, {
    id,
    bundle: flags.strings["bundle"] ?? ".",
    ...(configFile === undefined ? {} : { configFile }),
    createRuntimeHook: connectHook(context, id),
    attached,
  });
  let status = ENGINE_KILLED;
  try {
    const command = ["run", ...passed, "--bundle", prepared.engineBundle, id];
    status = await runAttached(engine, prepared, command, onStarted);
    return status;
  } finally {
    // An engine that was killed has left the container as it was; the application's own 137 looks the same.
    const left = status === ENGINE_KILLED && engine.read(["state", id], true).status === 0;
    if (!flags.booleans["keep"] && !left) await discard(prepared.directory, context.log);
  }
}

async function runDetached(context: Context, words: readonly string[], id: string): Promise<number> {
  const created = await create(context, withoutOwnFlags(words));
  if (created !== 0) return created;
  let status = 1;
  try {
    status = await start(context, [id]);
    return status;
  } finally {
    if (status !== 0) await remove(context, ["--force", id]);
  }
}

/** The words of `run` as `create` takes them. */
function withoutOwnFlags(words: readonly string[]): string[] {
  const { strings, booleans, rest } = parseFlags(words, RUN_FLAGS, "urunc run");
  const kept = Object.keys(booleans).filter((name) => !(name in OWN_FLAGS));
  return [
    ...kept.map((name) => `--${name}=${booleans[name]}`),
    ...Object.entries(strings).map(([name, value]) => `--${name}=${value}`),
    "--",
    ...rest,
  ];
}

/**
 * The engine must be the application's parent to wait for it, so it does all three steps at once; what is ours
 * between create and start (the network, the launch document) runs as its last `createRuntime` hook.
 */
async function runAttached(
  engine: Engine,
  prepared: Prepared,
  command: string[],
  onStarted: () => void,
): Promise<number> {
  if (prepared.record.kind === "engine") return engine.run(command);
  const report = new StartReport(prepared.directory);
  await report.listen();
  // The hook that takes it from the host ends before the monitor begins.
  const release = holdRootDevice(prepared.record);
  const ended = engine.runAside(command);
  try {
    if (await report.startedBefore(ended)) onStarted();
    return await ended;
  } finally {
    // What is deleted next is still in use until the engine has ended, whatever was reported.
    await ended;
    report.close();
    release();
  }
}
