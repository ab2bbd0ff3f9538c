import { UruncError } from "../../errors.ts";
import type { Descriptor } from "../spec/manifest.ts";
import { platformName } from "../spec/platform.ts";
import type { ImageSink, ImageSource } from "../transport.ts";
import { type Layout, REFERENCE_NAME } from "./layout.ts";

/** Blobs that are brought in at once. */
const PARALLEL = 4;

/**
 * An image of a layout.
 *
 * @param name as it is in the index; undefined: the only one there is
 * @param hint what the sentence says where there is no such image
 * @throws UruncError `image-missing`
 */
export function layoutSource(
  layout: Layout,
  name: string | undefined,
  called: string,
  hint = "",
): ImageSource {
  return {
    name: called,
    async root() {
      const { manifests } = layout.index();
      let descriptor = manifests[0];
      if (name !== undefined) {
        descriptor = manifests.find((one) => one.annotations?.[REFERENCE_NAME] === name);
      } else if (manifests.length > 1) {
        const there = manifests.map((one) => one.annotations?.[REFERENCE_NAME] ?? one.digest);
        throw new UruncError(
          "usage",
          `${called} holds several images, name one of them: ${there.join(", ")}`,
        );
      }
      if (descriptor === undefined) {
        throw new UruncError("image-missing", `${called} is not in ${layout.directory}${hint}`);
      }
      return { descriptor, bytes: await layout.manifestBytes(descriptor) };
    },
    open: (descriptor, offset) => {
      if (!layout.has(descriptor) && descriptor.platform !== undefined) {
        throw new UruncError(
          "image-missing",
          `${called} is not there for ${platformName(descriptor.platform)}: only other platforms of it were fetched`,
        );
      }
      return layout.open(descriptor, offset);
    },
    file: (descriptor) => (layout.has(descriptor) ? layout.blobPath(descriptor.digest) : undefined),
  };
}

/** An image of a layout by its manifest or index, whether that has a name or not. */
export function digestSource(layout: Layout, root: Descriptor, called: string): ImageSource {
  return {
    ...layoutSource(layout, undefined, called),
    root: async () => ({ descriptor: root, bytes: await layout.manifestBytes(root) }),
  };
}

/** An image that comes into a layout. The caller keeps {@link Layout.using} around it. */
export function layoutSink(layout: Layout, name: string | undefined, called: string): ImageSink {
  return {
    name: called,
    parallel: PARALLEL,
    severalPlatforms: true,
    async putBlob(descriptor, source, onProgress) {
      await layout.addBlob(descriptor, (offset) => source.open(descriptor, offset), onProgress);
    },
    async putManifest(descriptor, bytes) {
      await layout.addBlob(descriptor, async function* (offset) {
        yield bytes.subarray(offset);
      });
    },
    async finish(root) {
      await layout.add(root, name);
    },
    async close() {
      layout.tidy();
    },
  };
}
