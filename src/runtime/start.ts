import { rmSync } from "node:fs";
import { ContainerDirectory, type VmRecord } from "../container/directory.ts";
import { removeNetwork } from "../network/apply.ts";
import type { Context } from "./context.ts";
import { onlyId } from "./create.ts";
import { Engine } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";
import { prepareLaunch } from "./launch.ts";
import { holdRootDevice, putRootDeviceBack } from "./root-device.ts";
import { SandboxProcess } from "./sandbox-process.ts";
import { StartReport } from "./start-report.ts";

export const START_FLAGS: FlagSpecs = {};

/** `urunc start`: starts the machine and waits until the application runs in it. */
export async function start(context: Context, words: readonly string[]): Promise<number> {
  const id = onlyId(parseFlags(words, START_FLAGS, "urunc start"), "start");
  const engine: Engine = new Engine(context);
  const directory = new ContainerDirectory(context.root, id);
  const record = directory.readWhole();
  const sandbox = SandboxProcess.read(directory);
  // The engine knows best what to say of a container that is not there, or that was started before.
  if (record?.kind !== "vm" || !sandbox?.isAlive() || directory.isStarted()) engine.become(["start", id]);
  const network = `/proc/${sandbox.pid}/ns/net`;
  const release = holdRootDevice(record);
  try {
    await prepareLaunch(directory, record, network, (sentence) => context.log.warning(sentence));
    return await startSandbox(engine, directory, { record, sandbox, network });
  } finally {
    release();
  }
}

async function startSandbox(
  engine: Engine,
  directory: ContainerDirectory,
  { record, sandbox, network }: { record: VmRecord; sandbox: SandboxProcess; network: string },
): Promise<number> {
  const { id } = directory;
  const report = new StartReport(directory);
  try {
    await report.listen();
    directory.markStarted();
    const status = await engine.runAside(["start", id]);
    if (status !== 0) {
      rmSync(directory.launch, { force: true });
      await removeNetwork(network, id);
      putRootDeviceBack(directory, record);
      directory.unmarkStarted();
      return status;
    }
    await report.started(record.bootTimeout);
  } catch (error) {
    await sandbox.ended();
    throw error;
  } finally {
    report.close();
  }
  return 0;
}
