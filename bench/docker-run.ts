import { imageReference, startLoadedDocker } from "../tests/harness/loaded-docker.ts";
import { inTurn, report, type Subject } from "./measure.ts";

/** `docker run --rm IMAGE echo hello` with urunc and with runc, on the same daemon. */
export async function dockerRun(rounds: number): Promise<{ urunc: number; runc: number }> {
  const docker = await startLoadedDocker("bench", ["debian"]);
  const subject = (runtime: string): Subject => ({
    name: `docker run --runtime ${runtime}`,
    async run() {
      const began = performance.now();
      const words = ["run", "--rm", "--runtime", runtime, imageReference("debian"), "echo", "hello"];
      const output = await docker.succeed(words);
      if (output !== "hello") throw new Error(`docker ${words.join(" ")} printed ${JSON.stringify(output)}`);
      return performance.now() - began;
    },
  });
  try {
    const rows = await inTurn([subject("runc"), subject("urunc")], rounds);
    report("docker-run", "docker run --rm IMAGE echo hello", rows);
    return { runc: rows[0]?.median ?? Number.NaN, urunc: rows[1]?.median ?? Number.NaN };
  } finally {
    await docker.stop();
  }
}
