import { closeSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { UruncError } from "../errors.ts";
import { lockDirectory } from "../image/store/flock.ts";
import { deleteFromRuntime } from "./engine.ts";
import { Machine, type MachineRecord, tryMachineLock } from "./machine.ts";
import { newName } from "./names.ts";
import type { Places } from "./places.ts";

const ID = /^[0-9a-f]{64}$/;

/** All machines, the newest first. */
export function listMachines(places: Places): Machine[] {
  return readdirSync(places.machines)
    .filter((name) => ID.test(name))
    .flatMap((name) => Machine.read(join(places.machines, name)) ?? [])
    .sort((a, b) => (a.record.created < b.record.created ? 1 : -1));
}

/**
 * The machine of a name, an identifier or the beginning of one.
 *
 * @throws UruncError `not-found`, `usage` where it is of several; in Docker's words
 */
export function findMachine(places: Places, text: string): Machine {
  const found = lookForMachine(places, text);
  if (found !== undefined) return found;
  throw new UruncError("not-found", `No such container: ${text}`);
}

/** The same; undefined where there is none. */
export function lookForMachine(places: Places, text: string): Machine | undefined {
  const all = listMachines(places);
  const exact = all.find(({ id, record }) => id === text || record.name === text.replace(/^\//, ""));
  if (exact !== undefined) return exact;
  const begun = /^[0-9a-f]+$/.test(text) ? all.filter(({ id }) => id.startsWith(text)) : [];
  if (begun.length > 1) throw new UruncError("usage", `Multiple IDs found with provided prefix: ${text}`);
  return begun[0];
}

/**
 * Makes a machine's directory and takes its lock: the one step that decides between two machines of one name.
 *
 * @returns the machine, and its lock: a descriptor that whoever keeps the machine holds open
 * @throws UruncError `id-in-use`, in Docker's words
 */
export async function addMachine(
  places: Places,
  record: Omit<MachineRecord, "name"> & { name?: string },
): Promise<{ machine: Machine; lock: number }> {
  const all = await lockDirectory(places.machines, "exclusive");
  try {
    const names = new Map(listMachines(places).map(({ id, record }) => [record.name, id]));
    const holder = record.name === undefined ? undefined : names.get(record.name);
    if (holder !== undefined) {
      throw new UruncError(
        "id-in-use",
        `Conflict. The container name "/${record.name}" is already in use by container "${holder}". ` +
          "You have to remove (or rename) that container to be able to reuse that name.",
      );
    }
    let name = record.name ?? newName();
    while (record.name === undefined && names.has(name)) name = newName();
    const path = join(places.machines, record.id);
    mkdirSync(path, { mode: 0o700 });
    const lock = tryMachineLock(path);
    if (lock === undefined) throw new UruncError("internal", `${path} cannot be locked`);
    const machine = new Machine(path, { ...record, name });
    machine.write();
    return { machine, lock };
  } finally {
    all.release();
  }
}

/** Takes away all that there is of a machine: in the runtime, then its directory. */
export async function removeMachine(places: Places, machine: Machine): Promise<void> {
  await deleteFromRuntime(places, machine.id);
  machine.removeFiles();
}

/**
 * Cleans up after those who were killed: a machine whose keeper is gone has ended, with 137, or goes if it was to be
 * removed at its end.
 */
export async function sweepMachines(places: Places): Promise<void> {
  const abandoned: { path: string; lock: number }[] = [];
  // Nobody makes a machine meanwhile, whose directory would be there without its lock for a moment.
  const all = await lockDirectory(places.machines, "exclusive");
  try {
    for (const name of readdirSync(places.machines)) {
      if (!ID.test(name)) continue;
      const path = join(places.machines, name);
      const machine = Machine.read(path);
      if (machine?.end() !== undefined && !machine.record.remove) continue;
      const lock = tryMachineLock(path);
      if (lock === undefined) continue;
      // Its keeper may have ended in order since.
      if (machine?.end() !== undefined && !machine.record.remove) closeSync(lock);
      else abandoned.push({ path, lock });
    }
  } finally {
    all.release();
  }
  for (const { path, lock } of abandoned) {
    try {
      await cleanAbandoned(places, path);
    } finally {
      closeSync(lock);
    }
  }
}

async function cleanAbandoned(places: Places, path: string): Promise<void> {
  const id = path.slice(path.lastIndexOf("/") + 1);
  const machine = Machine.read(path) ?? new Machine(path, { id } as MachineRecord);
  await deleteFromRuntime(places, id);
  if (machine.record.remove !== false) machine.removeFiles();
  else if (machine.end() === undefined) machine.markEnded(137);
}
