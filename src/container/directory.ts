import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { UruncError } from "../errors.ts";
import type { ShareWay } from "../monitor/file-server.ts";
import type { Acceleration, MonitorName } from "../monitor/vm-spec.ts";
import { stringifyExactly } from "../oci/exact-json.ts";
import type { Process, Spec } from "../oci/runtime-spec.ts";
import type { RootWay } from "../rootfs/source.ts";
import type { SystemCallFilter } from "../seccomp/filter.ts";

/** Goes up when verbs that know only an earlier one would get a container wrong. A field that may be missing is no reason. */
export const RECORD_VERSION = 1;

/**
 * What `create` decided and the later verbs need, kept in the container's state directory. These verbs may be of another
 * urunc than the one that created it: `id`, `bundle`, `kind`, and of `spec` the root, network and cgroup are there in
 * every version, so that any can list and remove what any other has made.
 */
export type ContainerRecord = { version: number; id: string; bundle: string } & (
  | { kind: "engine" }
  | {
      kind: "vm";
      /** The caller's `config.json`, without its system call filter. */
      spec: Spec;
      /** That filter, compiled. */
      filter?: SystemCallFilter;
      /** The host's name, for containers that have none. */
      hostname: string;
      /** Undefined: QEMU. */
      monitor?: MonitorName;
      /** The monitor's program, absolute, the same on the host and in the sandbox. */
      program: string;
      /** A host directory of firmware for it. */
      firmware?: string;
      acceleration: Acceleration;
      share: ShareWay;
      way: RootWay;
      /** The agent's, a host path, where files of the client's are added to it. */
      initramfs?: string;
      /** A directory of files that were made for this container alone, and go with it. */
      images?: string;
      memoryMiB: number;
      vcpus: number;
      bootTimeout: number;
      /** Of the process that called `create`: what the application inherits where it has none of its own. */
      limits: NonNullable<Process["rlimits"]>;
      /** The machine ends with who started it, however that ends. */
      attached?: boolean;
      /** Standard input is `/dev/null`. */
      noStdin: boolean;
    }
);

export type VmRecord = Extract<ContainerRecord, { kind: "vm" }>;

/**
 * The runtime's state below its `--root`: `containers/ID/` is ours, `engine/` is the engine's own root, so that
 * neither finds the other's files among its own.
 */
export class ContainerDirectory {
  readonly id: string;
  readonly path: string;

  constructor(root: string, id: string) {
    this.id = id;
    this.path = join(containersRoot(root), id);
  }

  /** The sandbox's bundle: its `config.json` is what the engine gets. */
  get bundle(): string {
    return join(this.path, "bundle");
  }

  /** The sandbox's root file system: empty directories, over which everything is mounted. */
  get rootfs(): string {
    return join(this.path, "rootfs");
  }

  /** `/run/urunc` of the sandbox: written by the stand-in and the monitor, so nothing in it is to be trusted. */
  get vm(): string {
    return join(this.path, "vm");
  }

  get launch(): string {
    return join(this.vm, "launch");
  }

  /** Where the engine writes the process id of the sandbox's first process: its presence says that it was made. */
  get pidFile(): string {
    return join(this.path, "pid");
  }

  /** That process, as `create` found it. */
  get processFile(): string {
    return join(this.path, "process");
  }

  /**
   * Whether a `start` has come so far that the engine was told, or was about to be. The mark is where the sandbox cannot
   * reach it; from then on the launch document and the network are the machine's.
   */
  isStarted(): boolean {
    return existsSync(join(this.path, "started"));
  }

  markStarted(): void {
    writeFileSync(join(this.path, "started"), "", { mode: 0o600 });
  }

  /** Nothing was started: another `start` may try. */
  unmarkStarted(): void {
    rmSync(join(this.path, "started"), { force: true });
  }

  /** Whether the engine has finished making the sandbox. */
  isCreated(): boolean {
    return existsSync(this.pidFile);
  }

  exists(): boolean {
    return existsSync(this.path);
  }

  /** Makes the directory: the one step that decides between two `create` of the same id. */
  make(): void {
    mkdirSync(join(this.path, ".."), { recursive: true, mode: 0o700 });
    try {
      mkdirSync(this.path, { mode: 0o700 });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
      throw new UruncError(
        "id-in-use",
        `container with given ID already exists: delete ${this.id} first, or choose another id`,
        { cause },
      );
    }
  }

  write(record: ContainerRecord): void {
    writeAtomically(join(this.path, "container.json"), stringifyExactly(record));
  }

  /**
   * The record with all that is in it, for verbs that start something in the container or change it. Undefined as `read`.
   *
   * @throws UruncError `state`: it is of a version that this urunc does not know
   */
  readWhole(): ContainerRecord | undefined {
    const record = this.read();
    if (record === undefined || record.version === RECORD_VERSION) return record;
    throw new UruncError(
      "state",
      `the container ${this.id} was created by another version of urunc (its record is of version ${record.version}, ` +
        `and this urunc knows ${RECORD_VERSION}): use that one for it, or delete it and create it anew`,
    );
  }

  /**
   * Of the record what is the same in all versions; undefined where there is no such container or its `create` was ended
   * before it was written.
   */
  read(): ContainerRecord | undefined {
    try {
      return JSON.parse(readFileSync(join(this.path, "container.json"), "utf8")) as ContainerRecord;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  remove(): void {
    const record = this.read();
    if (record?.kind === "vm" && record.images !== undefined) {
      rmSync(record.images, { recursive: true, force: true });
    }
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function containersRoot(root: string): string {
  return join(root, "containers");
}

export function engineRoot(root: string): string {
  return join(root, "engine");
}

/** Writes a file so that a reader, or a crash, meets either none or all of it. */
export function writeAtomically(path: string, content: string | Uint8Array, mode = 0o600): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, content, { mode });
  renameSync(temporary, path);
}

/**
 * @param root the directory for the containers' state, absolute; it need not be there
 * @throws UruncError `state`: it can neither be written to nor made
 */
export function requireWritableRoot(root: string): void {
  let place = root;
  while (!existsSync(place) && place !== "/") place = dirname(place);
  try {
    accessSync(place, constants.W_OK);
  } catch (cause) {
    throw new UruncError(
      "state",
      `${place} cannot be written to, where the state of containers is to be: name another directory with --root; ` +
        "the root of a user namespace, as rootless podman and Docker have it, is not supported yet",
      { cause },
    );
  }
}
