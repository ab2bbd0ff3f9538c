import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { type Caller, makeBunnyHome } from "../tests/harness/bunny.ts";
import { succeed } from "../tests/harness/command.ts";
import { ensureImage } from "../tests/harness/images.ts";
import { imageReference, startLoadedDocker } from "../tests/harness/loaded-docker.ts";
import { inTurn, report, type Subject } from "./measure.ts";

const CALLERS: Caller[] = ["root", "an ordinary user"];

/**
 * `docker run --rm --runtime urunc IMAGE true`, and `bunny run --rm IMAGE true` of an image that was run before, as root
 * and without.
 */
export async function bunnyRun(rounds: number): Promise<{ docker: number; bunny: number }> {
  const { archive } = await ensureImage("debian");
  const homes = await Promise.all(CALLERS.map(makeBunnyHome));
  const docker = await startLoadedDocker("bench", ["debian"]);
  const timed = async (run: () => Promise<unknown>) => {
    const began = performance.now();
    await run();
    return performance.now() - began;
  };
  const withDocker: Subject = {
    name: "docker run --runtime urunc",
    run: () =>
      timed(() => docker.succeed(["run", "--rm", "--runtime", "urunc", imageReference("debian"), "true"])),
  };
  try {
    for (const home of homes) {
      const copy = join(home.directory, "image.tar");
      copyFileSync(archive, copy);
      await home.succeed("copy", `docker-archive:${copy}`, "debian");
    }
    const without = homes.map(
      (home, index): Subject => ({
        name: `bunny run by ${CALLERS[index]}`,
        run: () =>
          timed(() => succeed([...home.argv, "run", "--rm", "debian", "true"], { env: home.environment })),
      }),
    );
    const rows = await inTurn([withDocker, ...without], rounds);
    report("bunny-run", "a machine that does nothing, from the command to its end", rows);
    const worst = Math.max(...rows.slice(1).map(({ median }) => median));
    return { docker: rows[0]?.median ?? Number.NaN, bunny: worst };
  } finally {
    await docker.stop();
    for (const home of homes) await home.remove();
  }
}
