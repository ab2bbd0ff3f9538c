import { join } from "node:path";
import { cacheDirectory, makeOwnDirectory, runDirectory, stateDirectory } from "../config/own-directories.ts";

/** Where machines and what belongs to them are: see `docs/run.md`, "Where things are". */
export interface Places {
  /** A directory for each machine: what it is, what it says, how it ended. Outlives the host's boot. */
  machines: string;
  /** The runtime's `--root`: goes with the boot. */
  runtime: string;
  /** Sockets whose paths must be short. */
  run: string;
  /** Images as root file systems. */
  roots: string;
}

/** The user's places, made where they are not there yet. */
export function openPlaces(): Places {
  const run = runDirectory("bunny");
  const places: Places = {
    machines: join(stateDirectory("bunny"), "machines"),
    runtime: join(run, "runtime"),
    run,
    roots: join(cacheDirectory("bunny"), "roots"),
  };
  for (const path of [places.machines, places.run, places.roots]) makeOwnDirectory(path);
  return places;
}
