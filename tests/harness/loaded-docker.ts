import { type Docker, startDocker } from "./docker.ts";
import { ensureImage, type ImageName } from "./images.ts";
import { runtimePath } from "./runtime.ts";

/** A private Docker whose runtime `urunc` is the one under test, or another program, with images loaded. */
export async function startLoadedDocker(
  name: string,
  images: readonly ImageName[],
  runtime: string = runtimePath,
): Promise<Docker> {
  // Images first: a failure there leaves no daemons.
  const archives: string[] = [];
  for (const image of images) archives.push((await ensureImage(image)).archive);
  const docker = await startDocker({ name, runtime });
  try {
    for (const archive of archives) await docker.succeed(["load", "--input", archive]);
  } catch (error) {
    await docker.stop();
    throw error;
  }
  return docker;
}

/** The name of an image in a loaded Docker. */
export function imageReference(name: ImageName): string {
  return `urunc-test/${name}`;
}
