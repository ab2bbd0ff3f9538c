import { UruncError } from "../errors.ts";
import { parseImageConfig } from "../image/spec/image-config.ts";
import { type Descriptor, MAXIMUM_CONFIG, parseManifest } from "../image/spec/manifest.ts";
import { isImageConfig } from "../image/spec/media-type.ts";
import { platformName } from "../image/spec/platform.ts";
import { familiarName, parseReference } from "../image/spec/reference.ts";
import { readVerified } from "../image/spec/verify.ts";
import { type Layout, REFERENCE_NAME } from "../image/store/layout.ts";
import { imageSize } from "../image/store/prune.ts";
import { openStore } from "../image/store/store.ts";
import { parseCommand, readableSize, STORE_FLAGS } from "./command.ts";

const HELP = `bunny images - lists the images of the store

Usage: bunny images [flags]

The size is that of an image's content as it is kept, which other images may share.

Flags:
  --format FORMAT          text or json (default: text)
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -h, --help               show help
`;

/** An image of the store. */
interface Listed {
  name: string;
  digest: string;
  platforms: string[];
  /** Bytes. */
  size: number;
}

/** `bunny images`. */
export async function images(words: readonly string[]): Promise<number> {
  const options = { ...STORE_FLAGS, format: { type: "string" } } as const;
  const parsed = parseCommand(words, "bunny images", HELP, options, [0, 0]);
  if (parsed === undefined) return 0;
  const { format = "text", store } = parsed.flags;
  if (format !== "text" && format !== "json") {
    throw new UruncError("usage", `bunny images: --format is text or json, not ${format}`);
  }
  const layout = openStore(store);
  const listed = await layout.using(async () => {
    const rows: Listed[] = [];
    for (const descriptor of layout.index().manifests) rows.push(await describe(layout, descriptor));
    return rows.sort((one, other) => (one.name < other.name ? -1 : 1));
  });
  process.stdout.write(format === "json" ? `${JSON.stringify(listed, null, 2)}\n` : table(listed));
  return 0;
}

async function describe(layout: Layout, descriptor: Descriptor): Promise<Listed> {
  const name = descriptor.annotations?.[REFERENCE_NAME];
  return {
    name: name === undefined ? "" : familiarName(parseReference(name)),
    digest: descriptor.digest,
    platforms: await platformsOf(layout, descriptor),
    size: await imageSize(layout, descriptor),
  };
}

/** Those that are there: of an index some may not have been fetched. */
async function platformsOf(layout: Layout, descriptor: Descriptor): Promise<string[]> {
  const where = `the manifest ${descriptor.digest}`;
  const document = parseManifest(await layout.manifestBytes(descriptor), where, descriptor.mediaType);
  if (document.kind === "index") {
    const there = document.manifests.filter((one) => one.platform !== undefined && layout.has(one));
    return there.flatMap(({ platform }) =>
      platform === undefined || platform.os === "unknown" ? [] : [platformName(platform)],
    );
  }
  const { config } = document;
  if (!isImageConfig(config.mediaType)) return [];
  const bytes = await readVerified(config, layout.open(config), MAXIMUM_CONFIG);
  return [platformName(parseImageConfig(bytes, `the configuration ${config.digest}`).platform)];
}

function table(listed: readonly Listed[]): string {
  const rows = [
    ["NAME", "DIGEST", "PLATFORM", "SIZE"],
    ...listed.map(({ name, digest, platforms, size }) => [
      name || "(none)",
      digest.slice(0, 19),
      platforms.join(",") || "-",
      readableSize(size),
    ]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  return rows
    .map((row) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}\n`)
    .join("");
}
