import { dateOf } from "./file-image.ts";
import type { ConfigDocument, HistoryEntry, ProcessDocument } from "./image.ts";

/** Says when what has no date was made. */
export const EPOCH = "1970-01-01T00:00:00Z";

/** What the configuration of a built image is made of. */
export interface BuiltConfig {
  base: ConfigDocument | undefined;
  /** How many of the base's layers are the image's lowest; undefined: it has none of them, and its files elsewhere. */
  baseLayers: number | undefined;
  process: ProcessDocument;
  /** What each layer that was added has. */
  steps: readonly string[];
  /** Seconds since 1970 of the image; undefined: the base's date. */
  time: number | undefined;
}

/** The configuration of an image that was built on another, but for its platform and layers. */
export function builtConfig({ base, baseLayers, process, steps, time }: BuiltConfig): ConfigDocument {
  const { config: _, history = [], rootfs: __, created: date, ...rest } = base ?? {};
  const created = time === undefined ? (date ?? EPOCH) : dateOf(time);
  return {
    created,
    ...rest,
    config: process,
    history: historyOf(history, baseLayers, steps, created),
  };
}

/** Ours behind the base's, if the image has its layers. */
function historyOf(
  base: readonly HistoryEntry[],
  baseLayers: number | undefined,
  steps: readonly string[],
  created: string,
): HistoryEntry[] {
  const ours = steps.map((what) => ({ created, created_by: `bunny build: ${what}` }));
  return baseLayers === undefined ? ours : fittingHistory([...base, ...ours], baseLayers + ours.length);
}

/** A history, or none at all where it does not fit the layers, which some readers refuse. */
export function fittingHistory(history: HistoryEntry[], layers: number): HistoryEntry[] {
  return history.filter(({ empty_layer }) => empty_layer !== true).length === layers ? history : [];
}
