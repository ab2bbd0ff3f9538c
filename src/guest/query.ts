import { DocumentWriter } from "./document.ts";
import { Channel, encodeFrame, type Frame, FrameReader, FrameType, PAYLOAD_MAX } from "./frame.ts";
import { Tag } from "./protocol.ts";

/** What the agent answers itself (`docs/guest-protocol.md`, "Queries"). */
export interface Query {
  verb: "ps" | "stats" | "update";
  argument: string;
}

/** How a query ended. `text` is the answer, or the sentence that says why there is none: of the guest, so never trusted. */
export type Answer = { kind: "answer"; text: string } | { kind: "failed"; text: string };

/** To who has it answered, each process is number 1. */
const PROCESS = 1;
/** Bytes of an answer; a sentence has fewer. */
export const ANSWER_MAX = 16 * 1024 * 1024;
/** Bytes that each part counts for besides its own: many small ones take memory too. */
const PART_WEIGHT = 64;

/**
 * One query as a conversation with the first stand-in (`docs/guest-protocol.md`, "Exec"): bytes of it in, bytes for it
 * out, no input or output. What comes is made by the guest, whose stand-in may be taken over as well.
 */
export class Conversation {
  readonly #reader = new FrameReader();
  readonly #text = new TextDecoder();
  readonly #parts: [output: Uint8Array[], errors: Uint8Array[]] = [[], []];
  #length = 0;
  #answer: Answer | undefined;

  /** What begins it. */
  static opening(query: Query): Uint8Array {
    const document = new DocumentWriter()
      .add(Tag.QUERY, { string: query.verb }, { string: query.argument })
      .add(Tag.NO_STDIN)
      .bytes();
    const frames = [control(FrameType.DOCUMENT, number(document.length))];
    for (let at = 0; at < document.length; at += PAYLOAD_MAX) {
      frames.push(control(FrameType.CHUNK, document.slice(at, at + PAYLOAD_MAX)));
    }
    return join([...frames, control(FrameType.START)]);
  }

  /** Undefined until it is over. */
  get answer(): Answer | undefined {
    return this.#answer;
  }

  /**
   * Takes bytes that have come.
   *
   * @returns bytes to send
   * @throws RangeError: they are not of this protocol, or the answer is too long
   */
  take(bytes: Uint8Array): Uint8Array {
    const replies: Uint8Array[] = [];
    for (const frame of this.#reader.take(bytes)) {
      if (this.#answer !== undefined) break;
      const reply = this.#frame(frame);
      if (reply !== undefined) replies.push(reply);
    }
    return join(replies);
  }

  #frame({ type, stream, payload }: Frame): Uint8Array | undefined {
    if (Math.floor(stream / 4) !== PROCESS)
      throw new RangeError("a frame is of no process that was asked for");
    const channel = stream % 4;
    switch (type) {
      case FrameType.STARTED:
      case FrameType.EOF:
      case FrameType.WINDOW:
        return undefined;
      case FrameType.DATA:
        return this.#data(channel, payload);
      case FrameType.FAILED:
        this.#answer = { kind: "failed", text: this.#text.decode(payload.slice(4)).replace(/\0.*/s, "") };
        return undefined;
      case FrameType.EXITED:
        this.#exited(payload);
        return undefined;
      default:
        throw new RangeError("a frame is of a type that guests do not send");
    }
  }

  #data(channel: number, payload: Uint8Array): Uint8Array {
    const parts = this.#parts[channel - Channel.STDOUT];
    if (parts === undefined) throw new RangeError("data are on a stream that has none");
    this.#length += payload.length + PART_WEIGHT;
    if (this.#length > ANSWER_MAX) throw new RangeError(`the answer is longer than ${ANSWER_MAX} bytes`);
    parts.push(payload);
    return encodeFrame(FrameType.WINDOW, PROCESS * 4 + channel, number(payload.length));
  }

  #exited(payload: Uint8Array): void {
    if (payload.length !== 8) throw new RangeError("a frame's size does not fit its type");
    const status = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
    const [output, errors] = this.#parts.map((parts) => this.#text.decode(join(parts))) as [string, string];
    if (status === 0) this.#answer = { kind: "answer", text: output };
    else this.#answer = { kind: "failed", text: errors || `the query ended with status ${status}` };
  }
}

function control(type: number, payload?: Uint8Array<ArrayBuffer>): Uint8Array {
  return encodeFrame(type, PROCESS * 4 + Channel.CONTROL, payload);
}

function number(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
