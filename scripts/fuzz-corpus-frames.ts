// What the fuzzers' inputs are made of: frames, as the scripts have them and as they are on the wire, and their fields.

export const FRAME = {
  HELLO: 1,
  WELCOME: 2,
  CLOCK: 3,
  ENTROPY: 4,
  DOCUMENT: 5,
  CHUNK: 6,
  START: 7,
  STARTED: 8,
  FAILED: 9,
  DATA: 10,
  EOF: 11,
  WINDOW: 12,
  SIGNAL: 13,
  RESIZE: 14,
  EXITED: 15,
  BYE: 16,
  DNS_QUERY: 17,
  DNS_ANSWER: 18,
} as const;

export const [STDIN, STDOUT, STDERR, CONTROL] = [0, 1, 2, 3];

export const u16 = (value: number): number[] => [value & 0xff, value >> 8];
export const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
export const text = (value: string): number[] => [...new TextEncoder().encode(value)];
export const string = (value: string): number[] => [...text(value), 0];

/** A frame in a script (`native/fuzz/frames.h`); `length` where it is not the payload's. */
export function frame(
  type: number,
  process: number,
  channel: number,
  payload: number[] = [],
  length = payload.length,
) {
  return [type, process, channel, ...u16(length), payload.length, ...payload];
}

/** The same frame as it is on the wire. */
export function wire(type: number, process: number, channel: number, payload: number[] = []): number[] {
  return [...u32(payload.length), ...u16(type), 0, 0, ...u32(process * 4 + channel), ...payload];
}

/** RFC 1035: what the address of "a" is. */
export const QUESTION = [...[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], ...[1, ...text("a"), 0], ...[0, 1, 0, 1]];
export const HELLO = [...u32(0x4e525555), ...u16(1), ...u16(1), ...u32(0)];
