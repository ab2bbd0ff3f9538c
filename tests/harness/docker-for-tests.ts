import { afterAll, beforeAll } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Docker } from "./docker.ts";
import { DockerMachines } from "./docker-machines.ts";
import type { ImageName } from "./images.ts";
import { expectNothingLeft } from "./leaks.ts";
import { startLoadedDocker } from "./loaded-docker.ts";

/** What the tests of one file have together. */
export interface DockerForTests {
  readonly docker: Docker;
  readonly machines: DockerMachines;
  /** A directory of the tests', removed with the private Docker. */
  readonly files: string;
}

/**
 * Starts a private Docker before the first test of a file, and stops it behind the last, when nothing of it may be left.
 *
 * @param take is given it before the first test, for whatever else the tests need
 */
export function useLoadedDocker(
  name: string,
  images: readonly ImageName[],
  take: (started: DockerForTests) => void | Promise<void>,
): void {
  let docker: Docker | undefined;

  beforeAll(async () => {
    docker = await startLoadedDocker(name, images);
    const files = join(docker.layout.directory, "files");
    mkdirSync(files);
    await take({ docker, machines: new DockerMachines(docker), files });
  }, 600_000);

  afterAll(async () => {
    if (docker === undefined) return;
    await docker.stop();
    await expectNothingLeft([docker.layout.directory, docker.cgroup]);
  }, 120_000);
}
