import { join } from "node:path";
import { startContainerd } from "../tests/harness/containerd.ts";
import { ensureImage } from "../tests/harness/images.ts";
import { imageReference } from "../tests/harness/loaded-docker.ts";
import { runtimePath } from "../tests/harness/runtime.ts";
import { inTurn, report, type Subject } from "./measure.ts";

/**
 * `ctr run --rm IMAGE true`: by runc; by urunc as the binary of the shim for runc; by `io.containerd.urunc.v2`, whose
 * difference to the second is what it takes to find urunc by a name alone.
 */
export async function containerdRun(rounds: number): Promise<{ binary: number; name: number }> {
  const { archive } = await ensureImage("debian");
  const containerd = await startContainerd("bench");
  const image = `docker.io/${imageReference("debian")}:latest`;
  const fifos = ["--fifo-dir", join(containerd.layout.directory, "fifos")];
  let ids = 0;
  const subject = (name: string, flags: readonly string[]): Subject => ({
    name,
    async run() {
      const began = performance.now();
      await containerd.succeed(["run", "--rm", ...fifos, ...flags, image, `bench-${++ids}`, "true"]);
      return performance.now() - began;
    },
  });
  try {
    await containerd.succeed(["images", "import", archive]);
    const rows = await inTurn(
      [
        subject("urunc as the binary of io.containerd.runc.v2", ["--runc-binary", runtimePath]),
        subject("io.containerd.urunc.v2", ["--runtime", "io.containerd.urunc.v2"]),
        subject("runc", []),
      ],
      rounds,
    );
    report("containerd-run", "ctr run --rm IMAGE true", rows);
    return { binary: rows[0]?.median ?? Number.NaN, name: rows[1]?.median ?? Number.NaN };
  } finally {
    await containerd.stop();
  }
}
