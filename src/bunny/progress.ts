import type { Descriptor } from "../image/spec/manifest.ts";
import type { CopyProgress } from "../image/transport.ts";
import { readableSize } from "./command.ts";

/** Milliseconds between two changes of what a terminal shows. */
const INTERVAL = 100;
/** Hexadecimal digits that a blob is known by, as Docker has it. */
const SHORT_DIGEST = 12;
const WIDEST_BAR = 50;
const NARROWEST_BAR = 5;
/** Columns for ` 99.9 MB of 99.9 MB`: bars are of one width. */
const FAR_WIDTH = 20;
/** Where nobody knows. */
const USUAL_SIZE = { rows: 24, columns: 80 };

/** How a copy is shown on standard error. */
export interface ShownProgress extends CopyProgress {
  /** Writes a line that stays. */
  say(line: string): void;
  /** Takes away what changes. */
  close(): void;
}

/** How far a blob is. */
export interface BlobState {
  digest: string;
  /** Bytes. */
  size: number;
  bytes: number;
  done: boolean;
}

/** On a terminal a bar for each blob, else a line for each that is there. */
export function transferProgress(quiet: boolean): ShownProgress {
  if (quiet) return { begin() {}, advance() {}, end() {}, say() {}, close() {} };
  const { stderr } = process;
  const blobs = new Map<string, BlobState>();
  let drawnAt = 0;
  let drawn = 0;
  const clear = () => {
    if (drawn > 0) stderr.write(`\x1b[${drawn}A\x1b[J`);
    drawn = 0;
  };
  const draw = (now: boolean) => {
    if (!stderr.isTTY || (!now && performance.now() - drawnAt < INTERVAL)) return;
    drawnAt = performance.now();
    const { rows, columns } = { ...USUAL_SIZE, rows: stderr.rows, columns: stderr.columns };
    const lines = progressLines([...blobs.values()], rows, columns);
    // Each is written over what it was: to clear all of it first would flicker.
    const up = drawn > 0 ? `\x1b[${drawn}A` : "";
    stderr.write(`${up}${lines.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`);
    drawn = lines.length;
  };
  return {
    begin({ digest, size }: Descriptor) {
      // Those of an earlier image are of no interest any more.
      if ([...blobs.values()].every(({ done }) => done)) blobs.clear();
      blobs.set(digest, { digest, size, bytes: 0, done: false });
      draw(true);
    },
    advance({ digest }: Descriptor, bytes: number) {
      const blob = blobs.get(digest);
      if (blob !== undefined) blob.bytes += bytes;
      draw(false);
    },
    end({ digest }: Descriptor) {
      const blob = blobs.get(digest);
      if (blob === undefined) return;
      blob.done = true;
      draw(true);
      if (!stderr.isTTY) stderr.write(`${digest.slice(0, 19)} ${readableSize(blob.size)} ${outcome(blob)}\n`);
    },
    say(line) {
      clear();
      stderr.write(`${line}\n`);
    },
    close: clear,
  };
}

/**
 * What a terminal of so many rows and columns shows of a copy: a line for each blob, or where there are too many of them
 * for those that are on their way.
 */
export function progressLines(blobs: readonly BlobState[], rows: number, columns: number): string[] {
  const most = Math.max(rows - 1, 1);
  const shown = blobs.length <= most ? blobs : blobs.filter(({ done }) => !done).slice(0, most);
  return shown.map((blob) => line(blob, columns));
}

function line(blob: BlobState, columns: number): string {
  const { digest, size, bytes, done } = blob;
  const name = digest.slice(digest.indexOf(":") + 1).slice(0, SHORT_DIGEST);
  // A terminal may begin a new line behind its last column.
  const room = columns - 1;
  if (done) return `${name} ${readableSize(size)} ${outcome(blob)}`.slice(0, room);
  const far = ` ${readableSize(bytes)} of ${readableSize(size)}`;
  const width = Math.min(room - name.length - FAR_WIDTH - 3, WIDEST_BAR);
  if (width < NARROWEST_BAR) return `${name}${far}`.slice(0, room);
  const full = Math.min(Math.max(Math.round((width * bytes) / Math.max(size, 1)), 0), width);
  return `${name} [${"#".repeat(full)}${"-".repeat(width - full)}]${far}`;
}

function outcome({ bytes, size }: BlobState): string {
  return bytes > 0 || size === 0 ? "copied" : "already there";
}
