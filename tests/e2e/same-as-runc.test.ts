import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BUNDLES } from "../comparison/bundles.ts";
import { DIFFERENCES, MOST_DIFFERENCES } from "../comparison/differences.ts";
import { ENDINGS } from "../comparison/endings.ts";
import { EXECS } from "../comparison/execs.ts";
import { FILES } from "../comparison/files.ts";
import { MOUNTS } from "../comparison/mounts.ts";
import { PROGRAMS } from "../comparison/programs.ts";
import { SETTINGS } from "../comparison/settings.ts";
import { STREAMS } from "../comparison/streams.ts";
import { WORLD } from "../comparison/world.ts";
import {
  compileProbe,
  type DockerRow,
  type Observation,
  observeBundle,
  observeDocker,
} from "../harness/comparison.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import type { Docker } from "../harness/docker.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { startLoadedDocker } from "../harness/loaded-docker.ts";
import { runsMachines } from "../harness/runtime.ts";

/**
 * What can be seen of a container is the same whether runc or urunc has run it. Each row is run by both; a row of
 * `DIFFERENCES` must still differ, so that the list cannot outlive its reasons.
 */

setDefaultTimeout(120_000);

const RUNC = "/usr/sbin/runc";

const DOCKER_GROUPS: Readonly<Record<string, DockerRow[]>> = {
  "process settings": SETTINGS,
  streams: STREAMS,
  "signals and ending": ENDINGS,
  "further processes": EXECS,
  "finding the program": PROGRAMS,
  "the world inside": WORLD,
  mounts: MOUNTS,
  files: FILES,
};

/** Defines the test of one row: equal, or listed and different. */
function compare(row: { readonly name: string }, observe: () => Promise<[Observation, Observation]>): void {
  const reason = DIFFERENCES.find(({ rows }) => rows.includes(row.name))?.title;
  const equal = async () => {
    const [container, machine] = await observe();
    if (Bun.deepEquals(container, machine)) return;
    // Under runc too a container now and then does otherwise; a difference of the runtimes shows again.
    console.warn(`${row.name}: differed once`, { container, machine });
    const [containerAgain, machineAgain] = await observe();
    expect(machineAgain).toEqual(containerAgain);
  };
  if (reason === undefined || !runsMachines) test(row.name, equal);
  else {
    test(`${row.name}, which differs: ${reason}`, async () => {
      const [container, machine] = await observe();
      expect(machine).not.toEqual(container);
    });
  }
}

test("each row has a name of its own; the list of differences is short, published and about rows", () => {
  const names = [...Object.values(DOCKER_GROUPS).flat(), ...BUNDLES].map(({ name }) => name);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  for (const row of DIFFERENCES.flatMap(({ rows }) => rows)) expect(names).toContain(row);
  expect(DIFFERENCES.length).toBeLessThanOrEqual(MOST_DIFFERENCES);
  const page = readFileSync(join(import.meta.dir, "../../docs/differences-from-runc.md"), "utf8");
  expect([...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual(
    DIFFERENCES.map(({ title }) => title),
  );
});

describe("docker run", () => {
  let docker: Docker;
  let program: string;

  beforeAll(async () => {
    docker = await startLoadedDocker("same", ["debian"]);
    program = await compileProbe(docker.layout.directory);
  }, 600_000);

  afterAll(async () => {
    if (docker === undefined) return;
    await docker.stop();
    await expectNothingLeft([docker.layout.directory, docker.cgroup]);
  }, 120_000);

  for (const [group, rows] of Object.entries(DOCKER_GROUPS)) {
    describe(group, () => {
      for (const row of rows) {
        compare(row, () =>
          Promise.all([
            observeDocker(docker, "runc", row, program),
            observeDocker(docker, "urunc", row, program),
          ]),
        );
      }
    });
  }
});

describe("a bundle, without Docker", () => {
  let container: Containers;
  let machine: Containers;
  let program: string;

  beforeAll(async () => {
    container = await openContainers("busybox", RUNC);
    machine = await openContainers("busybox");
    program = await compileProbe(machine.runtime.directory);
  }, 300_000);

  afterAll(async () => {
    await container?.close();
    await machine?.close();
  }, 120_000);

  for (const row of BUNDLES) {
    compare(row, () =>
      Promise.all([observeBundle(container, row, program), observeBundle(machine, row, program)]),
    );
  }
});
