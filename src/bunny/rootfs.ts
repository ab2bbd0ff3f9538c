import { createReadStream } from "node:fs";
import { sourceDateEpoch } from "../build/source-date.ts";
import { UruncError } from "../errors.ts";
import { writeDirectory } from "../image/filesystem/directory.ts";
import { writeErofs } from "../image/filesystem/erofs.ts";
import { writeExt4 } from "../image/filesystem/ext4.ts";
import { writeInitrd } from "../image/filesystem/initrd.ts";
import { losses } from "../image/filesystem/losses.ts";
import type { Written } from "../image/filesystem/result.ts";
import { readImage } from "../image/image-contents.ts";
import { ContentStore } from "../image/layers/content.ts";
import { treeOfDirectory } from "../image/layers/directory-reader.ts";
import { treeOfLayers } from "../image/layers/layers.ts";
import type { Directory } from "../image/layers/tree.ts";
import { type Location, openSource, parseLocation } from "../image/location.ts";
import { verified } from "../image/spec/verify.ts";
import { access, PLATFORM_FLAG, parseCommand, platformOf, STORE_FLAGS } from "./command.ts";
import { imageOfStore } from "./image-of-store.ts";
import { interruptible } from "./interrupt.ts";

const HELP = `bunny rootfs - makes a root file system of an image, of layers, or of a directory

Usage: bunny rootfs [flags] --output FORM:PATH IMAGE
       bunny rootfs [flags] --output FORM:PATH --layer FILE...
       bunny rootfs [flags] --output FORM:PATH --directory DIRECTORY

IMAGE is a NAME of the store, where it is pulled if it is not there, or another place as in "bunny copy --help";
what comes from a registry by docker://NAME is not kept.

Flags:
  -o, --output FORM:PATH   initrd:FILE (cpio), ext4:FILE, erofs:FILE or rootfs:DIRECTORY (root only)
  --layer FILE             a layer, the lowest first: a tar archive, as it is or compressed with gzip or zstd
  --directory DIRECTORY    files of this system, with their owners and attributes
  --size SIZE              of an ext4 image: bytes, or with K, M or G (default: what is needed and a headroom)
  --temporary DIRECTORY    where the layers' files are kept meanwhile (default: $TMPDIR or /tmp)
  --platform PLATFORM      of an image for several platforms, the one for PLATFORM (default: this machine's)
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -q, --quiet              no progress of a pull
  -h, --help               show help

SOURCE_DATE_EPOCH in the environment is the time that an image says it was made at, in seconds since 1970
(default: 0). The same layers give the same bytes.
`;

const FORMS = ["initrd", "ext4", "erofs", "rootfs"] as const;
type Form = (typeof FORMS)[number];

const OPTIONS = {
  ...STORE_FLAGS,
  ...PLATFORM_FLAG,
  layer: { type: "string", multiple: true },
  directory: { type: "string" },
  output: { type: "string", short: "o" },
  size: { type: "string" },
  temporary: { type: "string" },
  quiet: { type: "boolean", short: "q" },
} as const;

/**
 * The command `bunny rootfs`.
 *
 * @returns the exit status
 * @throws UruncError `usage` for words it does not know, and what the layers' reader and the writers throw
 */
export async function rootfsCommand(words: readonly string[]): Promise<number> {
  const parsed = parseCommand(words.length === 0 ? ["--help"] : words, "bunny rootfs", HELP, OPTIONS, [0, 1]);
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  const { form, path } = outputOf(flags.output);
  const origin = originOf(parsed.words[0], flags);
  const size = flags.size === undefined ? undefined : sizeOf(flags.size);
  if (size !== undefined && form !== "ext4") throw usage("--size is for ext4 alone");
  const time = sourceDateEpoch(process.env) ?? 0;

  const began = performance.now();
  const store = new ContentStore(flags.temporary);
  try {
    const written = await interruptible(async (signal) => {
      const tree = await treeOf(origin, store, signal, flags);
      return write(form, tree, store, path, { time, signal, ...(size === undefined ? {} : { size }) });
    });
    for (const line of losses(written.losses)) process.stderr.write(`${line}\n`);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    process.stdout.write(`${path}: ${form}, ${(written.bytes / 2 ** 20).toFixed(1)} MiB, in ${seconds} s\n`);
  } finally {
    store.close();
  }
  return 0;
}

/** What a root is made of. */
type Origin =
  | { kind: "layers"; paths: readonly string[] }
  | { kind: "directory"; path: string }
  | { kind: "image"; location: Location; called: string };

function originOf(image: string | undefined, flags: { layer?: string[]; directory?: string }): Origin {
  const { layer: paths = [], directory: path } = flags;
  const origins: Origin[] = [];
  if (image !== undefined) origins.push({ kind: "image", location: parseLocation(image), called: image });
  if (paths.length > 0) origins.push({ kind: "layers", paths });
  if (path !== undefined) origins.push({ kind: "directory", path });
  const [origin, ...others] = origins;
  if (origin !== undefined && others.length === 0) return origin;
  throw usage("what to make it of is said with the name of an image, with --layer or with --directory");
}

async function treeOf(
  origin: Origin,
  store: ContentStore,
  signal: AbortSignal,
  flags: { store?: string; platform?: string; quiet?: boolean },
): Promise<Directory> {
  if (origin.kind === "directory") return treeOfDirectory(origin.path, store, { signal });
  if (origin.kind === "layers") return treeOfLayers(origin.paths.map(readLayer), store, { signal });
  const { location, called } = origin;
  const reach = access(flags.store);
  const platform = platformOf(flags.platform);
  if (location.kind === "store") {
    const layout = reach.store();
    return layout.using(async () => {
      const options = { access: reach, layout, platform, quiet: flags.quiet ?? false };
      const { layers } = await imageOfStore({ image: called, pull: "missing" }, options);
      return treeOfLayers(
        layers.map((layer) => layout.openChecked(layer)),
        store,
        { signal },
      );
    });
  }
  const { source } = await openSource(location, called, reach);
  try {
    const { layers } = await readImage(source, platform);
    const opened = layers.map((layer) => verified(layer, source.open(layer)));
    return await treeOfLayers(opened, store, { signal });
  } finally {
    await source.close?.();
  }
}

async function write(
  form: Form,
  tree: Directory,
  store: ContentStore,
  path: string,
  options: { time: number; signal: AbortSignal; size?: number },
): Promise<Written> {
  switch (form) {
    case "initrd":
      return writeInitrd(tree, store, path);
    case "ext4":
      return writeExt4(tree, store, path, options);
    case "erofs":
      return writeErofs(tree, store, path, { time: options.time });
    case "rootfs":
      return writeDirectory(tree, store, path, options.signal);
  }
}

async function* readLayer(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20 });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UruncError("not-found", `cannot read the layer ${path}: ${reason}`, { cause: error });
  }
}

function outputOf(output: string | undefined): { form: Form; path: string } {
  const [, word, path] = /^([a-z0-9]+):(.+)$/s.exec(output ?? "") ?? [];
  const form = FORMS.find((known) => known === word);
  if (form === undefined || path === undefined) {
    throw usage(`--output is FORM:PATH, and FORM one of ${FORMS.join(", ")}`);
  }
  return { form, path };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

function sizeOf(text: string): number {
  const [, digits, unit = ""] = /^([1-9][0-9]{0,15})([KMG]?)$/.exec(text) ?? [];
  const size = Number(digits) * (UNITS[unit] as number);
  if (!Number.isSafeInteger(size))
    throw usage(`--size is a number with K, M or G, not ${JSON.stringify(text)}`);
  return size;
}

function usage(sentence: string): UruncError {
  return new UruncError("usage", `bunny rootfs: ${sentence}: see "bunny rootfs --help"`);
}
