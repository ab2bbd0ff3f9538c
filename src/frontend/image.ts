import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { type LayerEntry, plainMetadata } from "../build/entry.ts";
import type { PublishedFile } from "../build/file-image.ts";
import { guestFiles } from "../build/guest-files.ts";
import type { ProcessDocument } from "../build/image.ts";
import { plainDirectory } from "../image/layers/tree.ts";
import { librariesOf, placeOf } from "../monitor/libraries.ts";
import { BUNNY, SHARE } from "./image-layout.ts";

/** What adds files to block images that are there; images made without it cannot do that. */
const DEBUGFS = "debugfs";

/** What the frontend's image is made of. */
export interface FrontendImage {
  files: PublishedFile[];
  entries: LayerEntry[];
  process: ProcessDocument;
  labels: Record<string, string>;
}

/**
 * The frontend's image: this executable, the libraries that it is loaded with here, and the kernel and the init that go
 * into images. There is no other program in it, and no shell.
 *
 * @throws UruncError `internal` for a library that is missing
 */
export async function frontendImage(): Promise<FrontendImage> {
  const bunny = realpathSync(process.execPath);
  const debugfs = Bun.which(DEBUGFS, { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` });
  const programs = [bunny, ...(debugfs === null ? [] : [realpathSync(debugfs)])];
  const { kernel, config, urunit } = guestFiles();
  const places = new Map([
    [BUNNY, bunny],
    [`${SHARE}/${basename(kernel)}`, kernel],
    [`${SHARE}/${basename(config)}`, config],
    [`${SHARE}/${basename(urunit)}`, urunit],
    ...(debugfs === null ? [] : [[`/usr/sbin/${DEBUGFS}`, debugfs] as const]),
  ]);
  const isProgram = new Set([BUNNY, `${SHARE}/${basename(urunit)}`, `/usr/sbin/${DEBUGFS}`]);
  for (const [place, path] of await librariesOf(programs)) {
    places.set(place, path);
    // The loader is run as a program.
    isProgram.add(place);
  }
  const files = [...places].map(
    ([place, source]): PublishedFile => ({
      source,
      name: place.slice(1),
      mode: isProgram.has(place) ? 0o755 : 0o644,
    }),
  );
  files.sort((one, other) => (one.name < other.name ? -1 : 1));
  return {
    files,
    entries: directories(files),
    process: { Entrypoint: [BUNNY, "frontend", "serve"], Env: ["PATH=/usr/bin:/usr/sbin"], WorkingDir: "/" },
    // It asks nobody but BuildKit.
    labels: { "moby.buildkit.frontend.network.none": "true" },
  };
}

/** Parents of the files, links from where programs are looked for, and a place for temporary files. */
function directories(files: readonly PublishedFile[]): LayerEntry[] {
  const paths = new Set<string>();
  for (const { name } of files) {
    const words = name.split("/");
    for (let length = 1; length < words.length; length++) paths.add(words.slice(0, length).join("/"));
  }
  const made = [...paths]
    .sort()
    .map((path): LayerEntry => ({ kind: "inode", path, inode: plainDirectory() }));
  const links = ["bin", "lib", "lib64", "sbin"].map(
    (path): LayerEntry => ({
      kind: "inode",
      path,
      inode: { ...plainMetadata(0o777), kind: "link", target: placeOf(`/${path}/x`).slice(1, -2) },
    }),
  );
  const temporary: LayerEntry = { kind: "inode", path: "tmp", inode: { ...plainDirectory(), mode: 0o1777 } };
  return [...made, ...links, temporary];
}
