import type { Descriptor } from "../image/spec/manifest.ts";
import type { Platform } from "../image/spec/platform.ts";
import type { Layout } from "../image/store/layout.ts";
import { type LayerEntry, plainMetadata } from "./entry.ts";
import { guestFileSize } from "./guest-files.ts";
import { writeImage } from "./image.ts";
import { writeLayer } from "./layer.ts";

/** A file of this system, and its name in an image. */
export interface PublishedFile {
  source: string;
  name: string;
  mode: number;
}

/**
 * Makes an image of nothing but files, in one layer, as `COPY --from` and a bunnyfile's `kernel.from` take it. The
 * caller keeps `Layout.using` around it.
 *
 * @param time seconds since 1970 of the files and the image
 * @throws UruncError `files-missing` for a file that is not there
 */
export async function imageOfFiles(
  layout: Layout,
  files: readonly PublishedFile[],
  about: { labels: Record<string, string>; platform: Platform; time: number; what: string },
  signal: AbortSignal,
): Promise<Descriptor> {
  const { labels, platform, time, what } = about;
  const entries = files.map(({ source, name, mode }): LayerEntry => {
    const metadata = { ...plainMetadata(mode), mtime: { seconds: time, nanoseconds: 0 } };
    return { kind: "host-file", path: name, metadata, source, size: guestFileSize(source) };
  });
  const created = dateOf(time);
  const layer = await writeLayer(layout, entries, { signal });
  return writeImage(layout, {
    config: { created, config: { Labels: labels }, history: [{ created, created_by: what }] },
    layers: [layer],
    annotations: labels,
    platform,
  });
}

/** A time as image-spec has it: RFC 3339. */
export function dateOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000", "");
}
