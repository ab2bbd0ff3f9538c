import { type Containers, openContainers, type PlannedContainer } from "../tests/harness/containers.ts";
import { inTurn, report, type Subject } from "./measure.ts";

/** Its last word is the time: the guest's clock is the host's (`tests/e2e/clock.test.ts`). */
const LAST_WORD = ["bash", "-c", "sleep 0.2; echo $EPOCHREALTIME"];

/**
 * From the application's last word to the end of `run`: its exit, the machine's, what the engine and the runtime remove.
 *
 * @returns medians in milliseconds
 */
export async function exitToGone(rounds: number): Promise<{ urunc: number; runc: number }> {
  const all: Containers[] = [];
  const subject = async (name: string, program?: string): Promise<Subject> => {
    const containers = await openContainers("debian", program);
    all.push(containers);
    const container = await containers.plan(LAST_WORD);
    return { name, run: () => once(containers, container) };
  };
  try {
    const rows = await inTurn(
      [await subject("runc run", "/usr/sbin/runc"), await subject("urunc run")],
      rounds,
    );
    report("exit-to-gone", "The application's exit → the container is gone", rows);
    return { runc: rows[0]?.median ?? Number.NaN, urunc: rows[1]?.median ?? Number.NaN };
  } finally {
    for (const containers of all) await containers.close();
  }
}

async function once({ runtime }: Containers, { id, bundle }: PlannedContainer): Promise<number> {
  const { exitCode, stdout, stderr } = await runtime.call(["run", "--bundle", bundle.directory, id]);
  const end = performance.timeOrigin + performance.now();
  const exit = Number(stdout) * 1000;
  if (exitCode !== 0 || !(exit > 0)) throw new Error(`run: status ${exitCode}, ${stdout}${stderr}`);
  return end - exit;
}
