import { createReadStream } from "node:fs";
import { parseArgs } from "node:util";
import { sourceDateEpoch } from "../build/source-date.ts";
import { UruncError } from "../errors.ts";
import { writeDirectory } from "../image/filesystem/directory.ts";
import { writeErofs } from "../image/filesystem/erofs.ts";
import { writeExt4 } from "../image/filesystem/ext4.ts";
import { writeInitrd } from "../image/filesystem/initrd.ts";
import { losses } from "../image/filesystem/losses.ts";
import type { Written } from "../image/filesystem/result.ts";
import { ContentStore } from "../image/layers/content.ts";
import { treeOfDirectory } from "../image/layers/directory-reader.ts";
import { treeOfLayers } from "../image/layers/layers.ts";
import type { Directory } from "../image/layers/tree.ts";

const HELP = `bunny rootfs - makes a root file system of an image's layers, or of a directory

Usage: bunny rootfs --layer FILE... --output FORM:PATH [flags]
       bunny rootfs --directory DIRECTORY --output FORM:PATH [flags]

Flags:
  --layer FILE             a layer, the lowest first: a tar archive, as it is or compressed with gzip or zstd
  --directory DIRECTORY    files of this system, with their owners and attributes
  -o, --output FORM:PATH   initrd:FILE (cpio), ext4:FILE, erofs:FILE or rootfs:DIRECTORY (root only)
  --size SIZE              of an ext4 image: bytes, or with K, M or G (default: what is needed and a headroom)
  --temporary DIRECTORY    where the layers' files are kept meanwhile (default: $TMPDIR or /tmp)
  -h, --help               show help

SOURCE_DATE_EPOCH in the environment is the time that an image says it was made at, in seconds since 1970
(default: 0). The same layers give the same bytes.
`;

const FORMS = ["initrd", "ext4", "erofs", "rootfs"] as const;
type Form = (typeof FORMS)[number];

const OPTIONS = {
  layer: { type: "string", multiple: true },
  directory: { type: "string" },
  output: { type: "string", short: "o" },
  size: { type: "string" },
  temporary: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * The command `bunny rootfs`.
 *
 * @returns the exit status
 * @throws UruncError `usage` for words it does not know, and what the layers' reader and the writers throw
 */
export async function rootfsCommand(words: readonly string[]): Promise<number> {
  const flags = parse(words);
  if (flags.help || words.length === 0) {
    process.stdout.write(HELP);
    return 0;
  }
  const { form, path } = outputOf(flags.output);
  const layers = flags.layer ?? [];
  const { directory } = flags;
  if ((layers.length === 0) === (directory === undefined)) {
    throw usage("what to make it of is said with --layer or with --directory");
  }
  const size = flags.size === undefined ? undefined : sizeOf(flags.size);
  if (size !== undefined && form !== "ext4") throw usage("--size is for ext4 alone");
  const time = sourceDateEpoch(process.env) ?? 0;

  const began = performance.now();
  const store = new ContentStore(flags.temporary);
  try {
    const tree =
      directory === undefined
        ? await treeOfLayers(layers.map(readLayer), store)
        : treeOfDirectory(directory, store);
    const written = await write(form, tree, store, path, { time, ...(size === undefined ? {} : { size }) });
    for (const line of losses(written.losses)) process.stderr.write(`${line}\n`);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    process.stdout.write(`${path}: ${form}, ${(written.bytes / 2 ** 20).toFixed(1)} MiB, in ${seconds} s\n`);
  } finally {
    store.close();
  }
  return 0;
}

async function write(
  form: Form,
  tree: Directory,
  store: ContentStore,
  path: string,
  options: { time: number; size?: number },
): Promise<Written> {
  switch (form) {
    case "initrd":
      return writeInitrd(tree, store, path);
    case "ext4":
      return writeExt4(tree, store, path, options);
    case "erofs":
      return writeErofs(tree, store, path, { time: options.time });
    case "rootfs":
      return writeDirectory(tree, store, path);
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

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: OPTIONS }).values;
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
}

function usage(sentence: string): UruncError {
  return new UruncError("usage", `bunny rootfs: ${sentence}: see "bunny rootfs --help"`);
}
