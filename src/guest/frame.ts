/** A frame of the guest protocol (`docs/guest-protocol.md`, "Frames"). */
export interface Frame {
  type: number;
  stream: number;
  payload: Uint8Array;
}

export const FrameType = {
  DOCUMENT: 5,
  CHUNK: 6,
  START: 7,
  STARTED: 8,
  FAILED: 9,
  DATA: 10,
  EOF: 11,
  WINDOW: 12,
  EXITED: 15,
} as const;

/** Bytes. */
const FRAME_HEADER = 12;
export const PAYLOAD_MAX = 32_768;

export const Channel = { STDIN: 0, STDOUT: 1, STDERR: 2, CONTROL: 3 } as const;

/** Encodes a frame of one process; its payload has at most `PAYLOAD_MAX` bytes. */
export function encodeFrame(type: number, stream: number, payload = new Uint8Array()): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint16(4, type, true);
  view.setUint32(8, stream, true);
  frame.set(payload, FRAME_HEADER);
  return frame;
}

/** Puts frames together from the parts in which they arrive. Never holds more than one frame and one part. */
export class FrameReader {
  #bytes = new Uint8Array();

  /**
   * Takes the next part.
   *
   * @returns the frames that are whole now
   * @throws RangeError: a frame is too long, or its reserved bytes are not zero
   */
  take(part: Uint8Array): Frame[] {
    const bytes = new Uint8Array(this.#bytes.length + part.length);
    bytes.set(this.#bytes);
    bytes.set(part, this.#bytes.length);
    const view = new DataView(bytes.buffer);
    const frames: Frame[] = [];
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER) {
      const length = view.getUint32(at, true);
      if (length > PAYLOAD_MAX) throw new RangeError("a frame is too long");
      if (view.getUint16(at + 6, true) !== 0) throw new RangeError("a frame's reserved bytes are not zero");
      const end = at + FRAME_HEADER + length;
      if (bytes.length < end) break;
      frames.push({
        type: view.getUint16(at + 4, true),
        stream: view.getUint32(at + 8, true),
        payload: bytes.slice(at + FRAME_HEADER, end),
      });
      at = end;
    }
    this.#bytes = bytes.slice(at);
    return frames;
  }
}
