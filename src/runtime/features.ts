import { FILTER_FLAGS, NOTIFY } from "../seccomp/rules.ts";
import { RUNTIME_SPEC_VERSION, VERSION } from "../version.ts";
import type { Context } from "./context.ts";
import { Engine, parseEngineJson } from "./engine.ts";
import { type FlagSpecs, parseFlags } from "./flags.ts";

export const FEATURES_FLAGS: FlagSpecs = {};

interface SeccompFeatures {
  enabled?: boolean;
  actions?: string[];
  [key: string]: unknown;
}

interface Features {
  hooks?: string[];
  mountOptions?: string[];
  linux?: { namespaces?: string[]; seccomp?: SeccompFeatures; [key: string]: unknown };
  annotations?: Record<string, string>;
  [key: string]: unknown;
}

/** `urunc features` (runtime-spec, `features.md`): the engine's, less what a virtual machine does not have. */
export function features(context: Context, words: readonly string[]): number {
  parseFlags(words, FEATURES_FLAGS, "urunc features");
  const { status, stdout } = new Engine(context).read(["features"]);
  if (status !== 0) return status;
  process.stdout.write(`${JSON.stringify(ofMachines(parseEngineJson(stdout) as Features), null, 4)}\n`);
  return 0;
}

function ofMachines(engine: Features): Features {
  const { seccomp, apparmor: _apparmor, selinux: _selinux, ...linux } = engine.linux ?? {};
  // `create` refuses them (`src/container/not-carried-over.ts`).
  for (const name of ["mountExtensions", "netDevices", "memoryPolicy"]) delete linux[name];
  return {
    ...engine,
    ociVersionMin: "1.0.0",
    ociVersionMax: RUNTIME_SPEC_VERSION,
    // Not in the guest: a hook is a program of the host.
    hooks: (engine.hooks ?? []).filter((name) => name !== "startContainer"),
    mountOptions: (engine.mountOptions ?? []).filter((name) => !/^r?idmap$/.test(name)),
    linux: {
      ...linux,
      namespaces: (linux.namespaces ?? []).filter((name) => name !== "user"),
      seccomp: {
        ...seccomp,
        enabled: seccomp?.enabled === true,
        // Nobody on the host can answer for the guest's kernel.
        actions: (seccomp?.actions ?? []).filter((name) => name !== NOTIFY),
        knownFlags: FILTER_FLAGS,
        supportedFlags: FILTER_FLAGS,
      },
      // The guest's kernel has neither.
      apparmor: { enabled: false },
      selinux: { enabled: false },
    },
    annotations: { ...engine.annotations, "com.urunc.version": VERSION },
  };
}
