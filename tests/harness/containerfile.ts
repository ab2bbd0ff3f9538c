import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessDocument } from "../../src/build/image.ts";
import { readImage } from "../../src/image/image-contents.ts";
import { ContentStore } from "../../src/image/layers/content.ts";
import { treeOfLayers } from "../../src/image/layers/layers.ts";
import { hostPlatform } from "../../src/image/spec/platform.ts";
import { Layout } from "../../src/image/store/layout.ts";
import { layoutSource } from "../../src/image/store/transport.ts";
import type { BunnyHome } from "./bunny.ts";
import { type CommandResult, succeed } from "./command.ts";
import { ensureImage, type ImageName } from "./images.ts";
import { type Listing, listTree } from "./trees.ts";

/** Images of the tests, by the names that they have in Docker, too. */
export const BOX = "urunc-test/busybox";
export const DEBIAN = "urunc-test/debian";

/** Brings an image of the tests into a home's store. */
export async function bringImage(home: BunnyHome, name: ImageName): Promise<void> {
  const copy = join(home.directory, "image.tar");
  copyFileSync((await ensureImage(name)).archive, copy);
  await home.succeed("copy", "-q", `docker-archive:${copy}`, `urunc-test/${name}`);
  rmSync(copy);
}

/** What makes a context that has something of everything. */
export const CONTEXT_FILES =
  "mkdir -p d/sub empty e; echo f >f; echo g >g; echo x >d/x; echo y >d/sub/y; echo fe >e/f; chmod 755 d; chmod 4711 f; " +
  "chmod 750 d/sub; ln -s f lf; ln -s d ld; ln -s x d/lx; ln f hard; " +
  "tar -cf t.tar --owner=7 --group=8 d/x d/sub f; gzip -k t.tar; gzip -c f >f.gz; chmod -R a+rX .";

/** Runs a script of a shell in a directory, made if it is not there. */
export function prepare(directory: string, script: string): Promise<string> {
  return succeed(["sh", "-ec", `mkdir -p ${directory}; cd ${directory}; ${script}`]);
}

/** An image's files, but for their times, and what it says. */
export interface ImageFiles {
  files: Listing;
  process: ProcessDocument;
}

/** What the only image of a layout comes to. */
export async function imageFiles(layoutDirectory: string): Promise<ImageFiles> {
  const layout = Layout.open(layoutDirectory);
  const image = await readImage(layoutSource(layout, undefined, "it"), hostPlatform());
  const store = new ContentStore();
  try {
    const layers = image.layers.map((layer) => layout.open(layer));
    const lines = Object.entries(listTree(await treeOfLayers(layers, store), store));
    const files = lines.map(([path, line]) => [path, line.replace(/"time":"-?[0-9]+",/, "")]);
    const { config } = JSON.parse(new TextDecoder().decode(image.configBytes)) as { config: ProcessDocument };
    return { files: Object.fromEntries(files) as Listing, process: config };
  } finally {
    store.close();
  }
}

/** Builds a Containerfile in a home; gives how that ended. */
export function buildIn(
  home: BunnyHome,
  context: string,
  text: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<CommandResult> {
  const file = join(home.directory, "Containerfile");
  writeFileSync(file, text);
  return home.run(["build", "--file", file, ...flags, context], { cwd: home.directory, env });
}

let count = 0;

/** Builds the image that a Containerfile says, which must succeed, and nothing more; gives what is in it. */
export async function buildFiles(
  home: BunnyHome,
  context: string,
  text: string,
  flags: readonly string[] = [],
): Promise<ImageFiles> {
  const layout = join(home.makeDirectory("outputs"), `${++count}`);
  const result = await buildIn(home, context, text, ["--plain", "-o", `oci:${layout}`, ...flags]);
  if (result.exitCode !== 0) throw new Error(`${result.exitCode}\n${result.stderr}`);
  return imageFiles(layout);
}
