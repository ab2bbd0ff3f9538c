import { join } from "node:path";
import { type Bundle, type BundleConfig, makeBundle } from "./bundle.ts";
import { ensureImage, type ImageName } from "./images.ts";
import { expectNothingLeft } from "./leaks.ts";
import { type Call, type CallOptions, openRuntime, type Runtime } from "./runtime.ts";

/** A bundle that a container is made of. */
export interface PlannedContainer {
  readonly id: string;
  readonly bundle: Bundle;
}

/** A runtime with an empty root of its own, and bundles of one image for it. */
export interface Containers {
  readonly runtime: Runtime;
  /** Makes a bundle whose directory does not bear the id, so that whatever bears it belongs to the container. */
  plan(args: readonly string[], change?: (config: BundleConfig) => void): Promise<PlannedContainer>;
  /** `create`, with standard streams that the container keeps. */
  create(container: PlannedContainer, options?: CallOptions): Promise<Call>;
  /** Fails when anything of the container is left on this machine. */
  expectGone(id: string): Promise<void>;
  /** Removes containers, bundles and the root; fails when anything is left. */
  close(): Promise<void>;
}

/** Opens a root for containers of an image. */
export async function openContainers(image: ImageName, program?: string): Promise<Containers> {
  const { archive } = await ensureImage(image);
  const runtime = openRuntime(program);
  const ids: string[] = [];
  return {
    runtime,
    async plan(args, change) {
      const id = runtime.newId();
      ids.push(id);
      const name = `bundle-${ids.length}`;
      const bundle = await makeBundle(archive, {
        id,
        name,
        parent: runtime.directory,
        args,
        ...(change === undefined ? {} : { change }),
      });
      return { id, bundle };
    },
    create: ({ id, bundle }, options) =>
      runtime.succeed(["create", "--bundle", bundle.directory, id], options),
    expectGone: (id) => expectNothingLeft([id], [join(runtime.root)]),
    async close() {
      await runtime.remove();
      await expectNothingLeft([runtime.directory, ...ids]);
    },
  };
}
