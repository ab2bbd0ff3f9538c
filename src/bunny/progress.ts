import type { Descriptor } from "../image/spec/manifest.ts";
import type { CopyProgress } from "../image/transport.ts";
import { readableSize } from "./command.ts";

/** Milliseconds between two changes of the line on a terminal. */
const INTERVAL = 100;

/** On a terminal one line that changes, else a line for each blob that is there. */
export function transferProgress(quiet: boolean): CopyProgress & { close(): void } {
  const blobs = new Map<string, { size: number; bytes: number; done: boolean }>();
  let shown = 0;
  const draw = () => {
    const all = [...blobs.values()];
    const done = all.filter((blob) => blob.done).length;
    const bytes = all.reduce((sum, blob) => sum + (blob.done ? blob.size : blob.bytes), 0);
    const total = all.reduce((sum, blob) => sum + blob.size, 0);
    const line = `${done} of ${all.length} blobs, ${readableSize(bytes)} of ${readableSize(total)}`;
    process.stderr.write(`\r\x1b[K${line}`);
  };
  const terminal = process.stderr.isTTY === true;
  return {
    begin({ digest, size }: Descriptor) {
      blobs.set(digest, { size, bytes: 0, done: false });
    },
    advance({ digest }: Descriptor, bytes: number) {
      const blob = blobs.get(digest);
      if (blob !== undefined) blob.bytes += bytes;
      if (quiet || !terminal || performance.now() - shown < INTERVAL) return;
      shown = performance.now();
      draw();
    },
    end({ digest, size }: Descriptor) {
      const blob = blobs.get(digest);
      if (blob === undefined) return;
      blob.done = true;
      if (quiet) return;
      if (terminal) draw();
      else {
        const how = blob.bytes > 0 || size === 0 ? "copied" : "already there";
        process.stderr.write(`${digest.slice(0, 19)} ${readableSize(size)} ${how}\n`);
      }
    },
    close() {
      if (terminal && !quiet && blobs.size > 0) process.stderr.write("\r\x1b[K");
    },
  };
}
