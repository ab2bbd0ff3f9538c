import { UruncError } from "../errors.ts";
import { copyImage } from "../image/copy.ts";
import { type Access, type Location, openSink, parseLocation } from "../image/location.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import type { Platform } from "../image/spec/platform.ts";
import { familiarName, formatReference, type Reference } from "../image/spec/reference.ts";
import type { Layout } from "../image/store/layout.ts";
import { digestSource } from "../image/store/transport.ts";
import type { CopyProgress } from "../image/transport.ts";

/** Where a build puts what it made. */
export type Output =
  /** The image. */
  | { kind: "image"; location: Location; called: string }
  /** The machine's root, or its kernel, as files. */
  | { kind: FileForm; path: string };

const FILE_FORMS = ["rootfs", "initrd", "block", "kernel"] as const;
export type FileForm = (typeof FILE_FORMS)[number];

/**
 * Parses what `--output` names: `rootfs:DIRECTORY`, `initrd:FILE`, `block:FILE`, `kernel:FILE`, or a place for an image
 * as `bunny copy` has it.
 *
 * @throws UruncError `usage` or `reference-invalid`
 */
export function parseOutput(text: string): Output {
  const [, word = "", path = ""] = /^([a-z]+):(.*)$/s.exec(text) ?? [];
  const kind = FILE_FORMS.find((form) => form === word);
  if (kind !== undefined) {
    if (path === "")
      throw new UruncError("usage", `--output ${text} names no ${kind === "rootfs" ? "directory" : "file"}`);
    return { kind, path };
  }
  if (!/^(?:oci|oci-archive|docker-archive|docker-daemon|docker):/.test(text)) {
    throw new UruncError(
      "usage",
      `--output is oci:DIRECTORY, oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME, docker://NAME, ` +
        `rootfs:DIRECTORY, initrd:FILE, block:FILE or kernel:FILE, not ${JSON.stringify(text)}`,
    );
  }
  return { kind: "image", location: parseLocation(text), called: text };
}

export interface DeliveryOptions {
  /** What the image is called, if it is: archives have that name in them. */
  reference: Reference | undefined;
  /** Of an index, where the place holds only one. */
  platform: Platform;
  progress: CopyProgress;
}

/** Copies an image of the store, which need not have a name, to a place. */
export async function deliver(
  image: Descriptor,
  layout: Layout,
  to: { location: Location; called: string },
  access: Access,
  options: DeliveryOptions,
): Promise<void> {
  const { reference, platform, progress } = options;
  const called = reference === undefined ? image.digest : familiarName(reference);
  const source = digestSource(layout, image, called);
  const from = { source, layouts: [layout], ...(reference === undefined ? {} : { reference }) };
  const { sink, layouts } = await openSink(to.location, to.called, access, from);
  const copy = () =>
    copyImage(source, sink, { platform: sink.severalPlatforms ? undefined : platform, progress });
  try {
    await usingOthers(
      layouts.filter((one) => one.directory !== layout.directory),
      copy,
    );
  } finally {
    await sink.close?.();
  }
}

async function usingOthers(layouts: readonly Layout[], work: () => Promise<unknown>): Promise<unknown> {
  const [first, ...others] = layouts;
  return first === undefined ? work() : first.using(() => usingOthers(others, work));
}

/** Gives an image of the store its names. */
export async function nameImage(
  image: Descriptor,
  layout: Layout,
  names: readonly Reference[],
): Promise<void> {
  for (const name of names) await layout.add(image, formatReference(name));
}
