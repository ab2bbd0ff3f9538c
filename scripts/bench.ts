// `npm run bench`: the figures of SPECIFICATION.md, as tables and in build/bench/*.json.
import { bunnyRun } from "../bench/bunny-run.ts";
import { containerdRun } from "../bench/containerd-run.ts";
import { dockerRun } from "../bench/docker-run.ts";
import { exitToGone } from "../bench/exit-to-gone.ts";
import { images } from "../bench/images.ts";
import { network } from "../bench/network.ts";
import { sandboxMemory } from "../bench/sandbox-memory.ts";
import { standinMemory } from "../bench/standin-memory.ts";
import { boots, startToExec } from "../bench/start-to-exec.ts";
import { waysBench } from "../bench/ways.ts";
import { makeDist } from "./make-dist.ts";
import { installDebianPackages, requireRoot } from "./setup.ts";

requireRoot("npm run bench", ["build", "run", "test"]);
await installDebianPackages(["build", "run", "test"]);
await makeDist();
await startToExec(15);
await dockerRun(15);
await containerdRun(15);
await bunnyRun(9);
await images(7);
await exitToGone(15);
await network(5);
await standinMemory();
await sandboxMemory();
await waysBench({ caches: ["always", "none"], rounds: 3, files: 1000, large: 64 });
await boots(200);
