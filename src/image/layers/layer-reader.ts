import { decompress } from "./compression.ts";
import type { Content, ContentStore, Run } from "./content.ts";
import { PushReader } from "./push-reader.ts";
import type { SparseRun } from "./tar-header.ts";
import { readTar, type TarEntry, type TarLimits, type TarVisitor } from "./tar-reader.ts";

/** An entry of a layer whose data is in the store. */
export type LayerEntry =
  | Exclude<TarEntry, { kind: "file" }>
  | (Omit<Extract<TarEntry, { kind: "file" }>, "size" | "runs" | "offset"> & { content: Content });

/**
 * Reads a layer to its end. Several may be read into one store at once.
 *
 * @param layer a tar, as it is or compressed with gzip or zstd
 * @returns its entries in the archive's order
 * @throws UruncError `layer-invalid`, `file-system` if the store has no room; what the layer itself throws; the signal's
 *   reason
 */
export async function readLayer(
  layer: AsyncIterable<Uint8Array>,
  store: ContentStore,
  limits: TarLimits,
  signal: AbortSignal,
): Promise<LayerEntry[]> {
  const kept = new KeptEntries(store);
  const reader = new PushReader((input) => readTar(input, kept, limits));
  // What comes after the archive's end too: so a compressed layer's checksum is seen, and a digest is whole.
  let after = 0;
  for await (const part of decompress(layer)) {
    signal.throwIfAborted();
    if (reader.done) after += part.length;
    else reader.push(part);
    if (after > limits.bytes) break;
  }
  reader.end();
  return kept.entries;
}

/** Puts files' data into the store as it comes, between what others put there. */
class KeptEntries implements TarVisitor {
  readonly entries: LayerEntry[] = [];
  readonly #store: ContentStore;
  /** Of the last file: where its next data belongs, and where that is. */
  #wanted: readonly SparseRun[] = [];
  #index = 0;
  #done = 0;
  #runs: Run[] = [];

  constructor(store: ContentStore) {
    this.#store = store;
  }

  entry(entry: TarEntry): void {
    if (entry.kind !== "file") {
      this.entries.push(entry);
      return;
    }
    const { size, runs, offset: _, ...rest } = entry;
    this.#wanted = runs;
    this.#index = 0;
    this.#done = 0;
    this.#runs = [];
    this.entries.push({ ...rest, content: { size, runs: this.#runs } });
  }

  data(part: Uint8Array): void {
    let { position } = this.#store;
    this.#store.append(part);
    for (let rest = part.length; rest > 0; ) {
      const { offset, length } = this.#wanted[this.#index] as SparseRun;
      const count = Math.min(rest, length - this.#done);
      this.#add({ at: offset + this.#done, position, length: count });
      position += count;
      rest -= count;
      this.#done += count;
      if (this.#done < length) continue;
      this.#index++;
      this.#done = 0;
    }
  }

  #add(run: Run): void {
    const last = this.#runs.at(-1);
    const follows =
      last !== undefined && last.at + last.length === run.at && last.position + last.length === run.position;
    if (follows) last.length += run.length;
    else this.#runs.push(run);
  }
}
