import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";

/** What a machine wrote at once. */
export interface OutputRecord {
  /** As `SECONDS.NANOSECONDS` since 1970. */
  time: string;
  stream: "stdout" | "stderr";
  bytes: Buffer;
}

/** Bytes: a record holds what the keeper read at once (`native/keeper/main.c`). */
const RECORD_MOST = 65_536;
const HEAD_MOST = 64;
const PIECE = 1 << 18;

const LOG = "log";
const LOG_BEFORE = "log.1";
const INTERVAL = 50;

/** Takes a log apart, of which the end may still be to come. */
export class OutputDecoder {
  #rest: Buffer = Buffer.alloc(0);

  /** @throws Error for what is no log */
  *decode(piece: Buffer): Generator<OutputRecord> {
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    for (;;) {
      const end = this.#rest.indexOf(10);
      if (end < 0 && this.#rest.length <= HEAD_MOST) return;
      const head = /^([0-9]{1,12}\.[0-9]{9}) ([oe]) ([0-9]{1,6})$/.exec(
        this.#rest.toString("latin1", 0, end < 0 ? HEAD_MOST : Math.min(end, HEAD_MOST)),
      );
      const [, time, letter, digits] = head ?? [];
      const length = Number(digits);
      if (time === undefined || length > RECORD_MOST) throw new Error("the machine's log is damaged");
      if (this.#rest.length < end + 1 + length + 1) return;
      const bytes = Buffer.from(this.#rest.subarray(end + 1, end + 1 + length));
      this.#rest = this.#rest.subarray(end + 1 + length + 1);
      yield { time, stream: letter === "o" ? "stdout" : "stderr", bytes };
    }
  }
}

/**
 * What a machine has written until now, and with `follow` what it will write until it has ended.
 *
 * @param directory the machine's
 * @param isOver whether nothing more will come
 * @param onCaughtUp called once, when all that was there has been given
 */
export async function* readOutput(
  directory: string,
  follow: boolean,
  isOver: () => boolean,
  onCaughtUp: () => void = () => {},
): AsyncGenerator<OutputRecord> {
  let caughtUp = false;
  for (const record of readWhole(join(directory, LOG_BEFORE))) yield record;
  let file = open(join(directory, LOG));
  try {
    let decoder = new OutputDecoder();
    for (;;) {
      // Asked before the rest is read: what comes until the end is read then.
      const over = !follow || isOver();
      for (const record of read(file, decoder)) yield record;
      if (!caughtUp) onCaughtUp();
      caughtUp = true;
      if (over) return;
      const current = statSync(join(directory, LOG), { throwIfNoEntry: false });
      if (current !== undefined && file !== undefined && current.ino === fstatSync(file).ino) {
        await Bun.sleep(INTERVAL);
        continue;
      }
      // Another file is in its place: what came into this one before that is read to its end.
      for (const record of read(file, decoder)) yield record;
      if (current === undefined) {
        await Bun.sleep(INTERVAL);
        continue;
      }
      if (file !== undefined) closeSync(file);
      file = open(join(directory, LOG));
      decoder = new OutputDecoder();
    }
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function open(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch {
    return undefined;
  }
}

function* readWhole(path: string): Generator<OutputRecord> {
  const file = open(path);
  if (file === undefined) return;
  try {
    yield* read(file, new OutputDecoder());
  } finally {
    closeSync(file);
  }
}

function* read(file: number | undefined, decoder: OutputDecoder): Generator<OutputRecord> {
  if (file === undefined) return;
  const piece = Buffer.alloc(PIECE);
  for (let got = readSync(file, piece); got > 0; got = readSync(file, piece)) {
    yield* decoder.decode(Buffer.from(piece.subarray(0, got)));
  }
}

/** A line, or the last part of one, as it was written. */
export interface OutputLine {
  time: string;
  stream: OutputRecord["stream"];
  bytes: Buffer;
}

/**
 * Puts records together to lines, each of one stream and with the time at which it began; the end of a line that has not
 * come is a line too, at the end.
 */
export async function* linesOf(records: AsyncIterable<OutputRecord>): AsyncGenerator<OutputLine> {
  const begun = new Map<OutputRecord["stream"], OutputLine>();
  for await (const { time, stream, bytes } of records) {
    let at = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, at)) {
      const before = begun.get(stream);
      const part = bytes.subarray(at, end + 1);
      begun.delete(stream);
      yield before === undefined
        ? { time, stream, bytes: part }
        : { ...before, bytes: Buffer.concat([before.bytes, part]) };
      at = end + 1;
    }
    if (at === bytes.length) continue;
    const before = begun.get(stream);
    const part = bytes.subarray(at);
    begun.set(
      stream,
      before === undefined
        ? { time, stream, bytes: part }
        : { ...before, bytes: Buffer.concat([before.bytes, part]) },
    );
  }
  yield* begun.values();
}
