import type { Descriptor } from "../image/spec/manifest.ts";
import type { Platform } from "../image/spec/platform.ts";
import type { Layout } from "../image/store/layout.ts";
import { type LayerEntry, plainMetadata } from "./entry.ts";
import { guestFileSize } from "./guest-files.ts";
import { type ProcessDocument, writeImage } from "./image.ts";
import { writeLayer } from "./layer.ts";

/** A file of this system, and its name in an image. */
export interface PublishedFile {
  source: string;
  name: string;
  mode: number;
}

/** What is said of an image of files. */
export interface FileImage {
  labels: Record<string, string>;
  platform: Platform;
  /** Seconds since 1970 of the files and the image. */
  time: number;
  /** For the history. */
  what: string;
  /** What is in it before the files. */
  entries?: readonly LayerEntry[];
  /** What runs in it, if anything does. */
  process?: ProcessDocument;
}

/**
 * Makes an image of nothing but files, in one layer, as `COPY --from` and a bunnyfile's `kernel.from` take it. The
 * caller keeps `Layout.using` around it.
 *
 * @throws UruncError `files-missing` for a file that is not there
 */
export async function imageOfFiles(
  layout: Layout,
  files: readonly PublishedFile[],
  about: FileImage,
  signal: AbortSignal,
): Promise<Descriptor> {
  const { labels, platform, time, what } = about;
  const entries = [...(about.entries ?? [])];
  for (const { source, name, mode } of files) {
    const metadata = { ...plainMetadata(mode), mtime: { seconds: time, nanoseconds: 0 } };
    entries.push({ kind: "host-file", path: name, metadata, source, size: guestFileSize(source) });
  }
  const created = dateOf(time);
  const layer = await writeLayer(layout, entries, { signal });
  return writeImage(layout, {
    config: {
      created,
      config: { ...about.process, Labels: labels },
      history: [{ created, created_by: what }],
    },
    layers: [layer],
    annotations: labels,
    platform,
  });
}

/** A time as image-spec has it: RFC 3339. */
export function dateOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000", "");
}
