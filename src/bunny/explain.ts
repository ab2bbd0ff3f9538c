import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { configOfContainer } from "../config/annotations.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { KERNEL_FILE, kernelRelease, shareDirectory } from "../config/share.ts";
import { isBind } from "../container/guest-plan.ts";
import { guestKind } from "../container/kind.ts";
import { containerRootfs } from "../container/root-directory.ts";
import { containerShareWay } from "../container/share-way.ts";
import { UruncError } from "../errors.ts";
import { bootSource } from "../machines/boot-source.ts";
import { bootAnnotations } from "../machines/brought.ts";
import { openPlaces } from "../machines/places.ts";
import { hostAcceleration } from "../monitor/acceleration.ts";
import { findMonitor } from "../monitor/find.ts";
import { MONITORS } from "../monitor/monitors.ts";
import type { Mount, Spec } from "../oci/runtime-spec.ts";
import { decideGuest } from "../rootfs/decide.ts";
import { type Explanation, explainGuest } from "../rootfs/explain.ts";
import { ROOT_LOWER } from "../rootfs/given.ts";
import { readImageWish } from "../rootfs/image-files.ts";
import { readSpec } from "../runtime/read-spec.ts";
import { PLATFORM_FLAG, parseCommand, STORE_FLAGS } from "./command.ts";
import { openImageRoot } from "./image-root.ts";

const HELP = `bunny explain - says how a machine of an image or bundle would be started, and why so

Usage: bunny explain [flags] IMAGE|BUNDLE

BUNDLE is the directory of an OCI bundle: a path that begins with / or a dot. IMAGE is pulled if the store does not have
it.

Flags:
  --platform PLATFORM      of an image for several platforms, the one for PLATFORM (default: this machine's)
  --pull missing|always|never
  -q, --quiet              no progress of a pull
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -h, --help               show help

Ends with 1 where the runtime would refuse the image or bundle.
`;

/** One of those that start machines, and how it would do it, or why not. */
interface Answer {
  readonly by: string;
  readonly parts: readonly { what: string; how: string; why?: string }[];
  readonly refused?: true;
}

/** `bunny explain`. */
export async function explain(words: readonly string[]): Promise<number> {
  const options = {
    ...STORE_FLAGS,
    ...PLATFORM_FLAG,
    pull: { type: "string" },
    quiet: { type: "boolean", short: "q" },
  } as const;
  const parsed = parseCommand(words, "bunny explain", HELP, options, [1, 1]);
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  const called = parsed.words[0] as string;
  const { config } = loadConfig(process.env);
  const answers = /^[./]/.test(called)
    ? [explainBundle(resolve(called), config)]
    : await explainImage(called, config, { ...flags, pull: pullOf(flags.pull), quiet: flags.quiet === true });
  process.stdout.write(inWords(called, answers));
  return answers.some(({ refused }) => refused) ? 1 : 0;
}

function pullOf(value = "missing"): "missing" | "always" | "never" {
  if (value === "missing" || value === "always" || value === "never") return value;
  throw new UruncError(
    "usage",
    `bunny explain: --pull is missing, always or never, not ${JSON.stringify(value)}`,
  );
}

function explainBundle(bundle: string, host: Config): Answer {
  const spec = readSpec(bundle);
  return attempt("urunc", () => {
    const wish = readImageWish(spec.annotations ?? {}, resolve(bundle, spec.root.path));
    const { kind, reason } = guestKind(spec, host.unannotated, wish !== undefined);
    if (kind === "engine")
      return [{ what: "container", how: `the engine's own, by ${host.engine}`, why: reason }];
    const config = configOfContainer(host, spec.annotations);
    const machine = { what: "container", how: "a machine", why: reason };
    return [machine, ...explained(spec, containerRootfs(bundle, spec.root.path), config, bundle)];
  });
}

/** What Docker and its like bind into each container: its own /etc/resolv.conf, and others. */
const BINDS: Mount[] = [{ destination: "/etc/resolv.conf", type: "bind", source: "/", options: ["rbind"] }];

async function explainImage(
  called: string,
  config: Config,
  flags: { store?: string; platform?: string; pull: "missing" | "always" | "never"; quiet: boolean },
): Promise<Answer[]> {
  const { roots } = openPlaces();
  const { image, root } = await openImageRoot({ image: called, pull: flags.pull }, flags, roots);
  try {
    // A root that is nowhere has nothing of what images bring.
    const brought = root.brought ?? join(roots, "nothing");
    const asked = { mounts: BINDS, root: { path: brought } };
    return [
      attempt("docker run --runtime urunc", () => {
        const wish = readImageWish({}, brought);
        const { kind, reason } = guestKind({}, config.unannotated, wish !== undefined);
        if (kind === "engine")
          return [{ what: "container", how: `the engine's own, by ${config.engine}`, why: reason }];
        return explained(asked, brought, config);
      }),
      attempt("bunny run", () => {
        const { root: lower, annotations, copied, rootfs } = bootSource(root, bootAnnotations(image));
        const given = { ...annotations, ...(lower === undefined ? {} : { [ROOT_LOWER]: lower }) };
        return withOwnFiles(copied, roots, (own) => {
          const bundleRoot = own ?? rootfs ?? join(roots, "nothing");
          return explained({ ...asked, annotations: given }, bundleRoot, config).map(
            ({ what, how, why }) => ({
              what,
              // By their names in the image.
              how: own === undefined ? how : how.replaceAll(`${own}/`, "/"),
              why: what === "root" ? whyRoot(lower, root.path, copied) : why,
            }),
          );
        });
      }),
    ];
  } finally {
    root.release();
  }
}

/** What a machine would have copies of, together as it would have them. */
function withOwnFiles<T>(copied: readonly string[] | undefined, parent: string, use: (own?: string) => T): T {
  if (copied === undefined) return use();
  const own = mkdtempSync(join(parent, ".explained-"));
  try {
    // A disk may be big: what is only looked at is linked.
    const sources = copied.map((path) => (statSync(path).isDirectory() ? `${path}/.` : path));
    const { status, stderr } = spawnSync("cp", ["--recursive", "--link", ...sources, own], {
      encoding: "utf8",
    });
    if (status !== 0)
      throw new UruncError("file-system", `cannot look at the image's files in ${own}: ${stderr}`);
    return use(own);
  } finally {
    rmSync(own, { recursive: true });
  }
}

/** To the runtime bunny gives files as the root. */
function whyRoot(given: string | undefined, made: string, copied: readonly string[] = []): string {
  if (given === made) return "bunny run makes one of the image's layers, for all its machines";
  if (copied.includes(made)) return "bunny run makes one of the image's layers, a copy for each machine";
  return `the image brings ${given === undefined ? "its root" : "a block image"}`;
}

function explained(
  spec: Pick<Spec, "annotations" | "mounts" | "root">,
  rootfs: string,
  config: Config,
  bundle = "/",
): Explanation[] {
  const files = shareDirectory(config.share);
  const wish = readImageWish(spec.annotations ?? {}, rootfs);
  const monitor = findMonitor(config, wish?.hypervisor, hostAcceleration(config.acceleration));
  const share = containerShareWay(config, MONITORS[monitor.name]);
  const choice = decideGuest(spec, wish, {
    bundle,
    rootfs,
    files,
    share: share.kind,
    own: config.rootfs,
  });
  const own = { path: join(files, KERNEL_FILE), release: kernelRelease(files) };
  return explainGuest({ choice, monitor, wish, share, hasBinds: (spec.mounts ?? []).some(isBind), own });
}

/** What the runtime refuses is an answer, too. */
function attempt(by: string, explainIt: () => Answer["parts"]): Answer {
  try {
    return { by, parts: explainIt() };
  } catch (error) {
    if (!(error instanceof UruncError)) throw error;
    return { by, parts: [{ what: "refused", how: error.message }], refused: true };
  }
}

function inWords(called: string, answers: readonly Answer[]): string {
  const lines = answers.flatMap(({ by, parts }) => [
    `by ${by}:`,
    ...parts.flatMap(({ what, how, why }) => [
      `  ${what.padEnd(9)}  ${how}`,
      ...(why === undefined ? [] : [`  ${"".padEnd(9)}  because ${why}`]),
    ]),
  ]);
  return `${[called, ...lines].join("\n")}\n`;
}
