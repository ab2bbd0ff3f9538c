import { findImage, type ImageRequest } from "../image/find-image.ts";
import type { ImageContents } from "../image/image-contents.ts";
import type { Access } from "../image/location.ts";
import type { Platform } from "../image/spec/platform.ts";
import { familiarName, parseReference } from "../image/spec/reference.ts";
import type { Layout } from "../image/store/layout.ts";
import { transfer } from "./transfer.ts";

/** Where an image is looked for, and how it is brought there. */
export interface StoreOptions {
  access: Access;
  /** Its store; the caller keeps {@link Layout.using} around the use of the image. */
  layout: Layout;
  platform: Platform;
  /** No progress of a pull. */
  quiet: boolean;
}

/** An image of the store that a user names, pulled where it is not there or where that was asked for. */
export function imageOfStore(
  request: { image: string; pull: ImageRequest["pull"] },
  { access, layout, platform, quiet }: StoreOptions,
): Promise<ImageContents> {
  const reference = parseReference(request.image);
  const called = familiarName(reference);
  return findImage({
    reference,
    platform,
    pull: request.pull,
    layout,
    async bring(missing) {
      if (missing) process.stderr.write(`Unable to find image '${called}' locally\n`);
      await transfer(
        { location: { kind: "registry", reference }, called },
        { location: { kind: "store", reference }, called },
        access,
        { platform, quiet },
      );
    },
  });
}
