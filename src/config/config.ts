import type { Level } from "./log-level.ts";

/** Whether a container's own root that is a mounted block device becomes a disk of the machine. */
export type BlockRoot = "asked" | "always" | "never";

/** The effective configuration of the runtime. */
export interface Config {
  log: {
    /** The least that is written; `--debug` goes before. */
    level: Level;
    /** To the system's log, too. */
    syslog: boolean;
  };
  /** The OCI runtime that makes the sandbox: a name looked up in the PATH, or an absolute path. */
  engine: string;
  /** The directory with the guest's files; undefined: beside the executable. */
  share?: string;
  /** What a container without any annotation becomes. */
  unannotated: "vm" | "container";
  /** `asked`: where the image asks for it. */
  blockRoot: BlockRoot;
  /** Milliseconds that a machine may take from the monitor's start until the application runs. */
  bootTimeout: number;
  /** virtiofsd's program, absolute; undefined: where distributions put it. */
  virtiofsd?: string;
  /** Words of its command line, in the place of ours or besides. */
  virtiofsdOptions: readonly string[];
  qemu: {
    /** Absolute; undefined: where distributions put it. */
    path?: string;
    /** A directory of firmware, absolute; undefined: the program's own. */
    dataPath?: string;
    /** MiB, for containers without a memory limit. */
    memoryMiB: number;
    /** For containers without a CPU quota. */
    vcpus: number;
    /** The way of a container's files to the guest; undefined: virtiofs where there is a virtiofsd, else 9p. */
    share?: "virtiofs" | "9p";
  };
}

export const DEFAULT_CONFIG: Config = {
  log: { level: "info", syslog: false },
  engine: "runc",
  unannotated: "vm",
  blockRoot: "asked",
  bootTimeout: 60_000,
  virtiofsdOptions: [],
  qemu: { memoryMiB: 256, vcpus: 1 },
};
