import type { ContentStore } from "../../image/layers/content.ts";
import type { Directory } from "../../image/layers/tree.ts";
import { withOwnDirectories } from "../../image/layers/tree.ts";
import type { RootParts } from "../../machines/roots.ts";
import { applyEntries, type TreeEntry } from "../entry.ts";
import { type BuiltLayer, writeLayer } from "../layer.ts";
import type { Workshop } from "../workshop.ts";

/**
 * The files of a stage so far: layers of the store, and the tree that they come to, which is put together only when
 * somebody asks for it.
 */
export class StageFiles {
  readonly #workshop: Workshop;
  #layers: readonly BuiltLayer[];
  #tree: Promise<Directory> | undefined;

  constructor(workshop: Workshop, layers: readonly BuiltLayer[], tree?: Promise<Directory>) {
    this.#workshop = workshop;
    this.#layers = layers;
    this.#tree = tree;
  }

  get layers(): readonly BuiltLayer[] {
    return this.#layers;
  }

  get contents(): ContentStore {
    return this.#workshop.options.contents;
  }

  /** What tells these files from others. */
  get key(): string[] {
    return this.#layers.map(({ descriptor }) => descriptor.digest);
  }

  /** The stage's own: whoever changes it says so with {@link add}. */
  tree(): Promise<Directory> {
    this.#tree ??= this.#workshop.unpack({ layers: [...this.#layers] });
    return this.#tree;
  }

  /** The same files for a stage that begins with this one. */
  fork(): StageFiles {
    return new StageFiles(this.#workshop, this.#layers, this.#tree?.then(withOwnDirectories));
  }

  /** Adds a layer that is there. */
  addLayer(layer: BuiltLayer): void {
    this.#layers = [...this.#layers, layer];
    this.#tree = undefined;
  }

  /**
   * Writes a layer and adds it.
   *
   * @param applied the tree has been changed already
   */
  async add(entries: readonly TreeEntry[], applied: boolean): Promise<BuiltLayer> {
    const { layout, contents, signal, time } = this.#workshop.options;
    const clamp = time === undefined ? {} : { time };
    const layer = await writeLayer(layout, entries, { contents, signal, ...clamp });
    this.#layers = [...this.#layers, layer];
    if (!applied && this.#tree !== undefined) applyEntries(await this.#tree, entries);
    return layer;
  }

  /** What a machine's root is made of. */
  parts(): RootParts {
    return {
      layers: this.#layers.map(({ descriptor }) => descriptor),
      unpack: async () => ({ tree: await this.tree(), store: this.contents, close() {} }),
    };
  }
}
