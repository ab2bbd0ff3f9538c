// The first inputs of `native/fuzz/relay_fuzz.c`.

import { CONTROL, FRAME, frame, STDERR, STDIN, STDOUT, string, text, u32 } from "./fuzz-corpus-frames.ts";

/** `native/fuzz/relay_fuzz.c`: place 0, what is done. */
const relay = {
  open: [13],
  client: (...words: Parameters<typeof frame>) => [1, ...frame(...words)],
  put: [7, 12],
  grant: (channel: number) => [3, channel === STDOUT ? 1 : 0],
  takeOut: [5],
  leave: [6],
  guest: (...words: Parameters<typeof frame>) => [8, ...frame(...words)],
};
const asked = [
  ...relay.open,
  ...relay.client(FRAME.DOCUMENT, 1, CONTROL, u32(3)),
  ...relay.put,
  ...relay.client(FRAME.CHUNK, 1, CONTROL, [1, 2, 3]),
  ...relay.put,
];
const runs = [
  ...asked,
  ...relay.client(FRAME.START, 1, CONTROL),
  ...relay.put,
  ...relay.guest(FRAME.STARTED, 2, CONTROL, u32(20)),
  ...relay.takeOut,
];
const writes = [
  ...relay.guest(FRAME.DATA, 2, STDOUT, [], 32768),
  ...relay.guest(FRAME.DATA, 2, STDERR, text("oops")),
];
const exits = [
  ...relay.guest(FRAME.EOF, 2, STDOUT),
  ...relay.guest(FRAME.EOF, 2, STDERR),
  ...relay.guest(FRAME.EXITED, 2, CONTROL, [...u32(1), ...u32(0)]),
];
export const relays: Record<string, number[]> = {
  "a-life": [
    ...runs,
    ...relay.client(FRAME.DATA, 1, STDIN, text("in")),
    ...relay.put,
    ...relay.guest(FRAME.WINDOW, 2, STDIN, u32(2)),
    ...writes,
    ...relay.takeOut,
    ...relay.grant(STDOUT),
    ...relay.put,
    ...relay.client(FRAME.SIGNAL, 1, CONTROL, u32(15)),
    ...relay.put,
    ...exits,
    ...relay.takeOut,
    ...relay.open,
  ],
  "it-fails": [
    ...asked,
    ...relay.client(FRAME.START, 1, CONTROL),
    ...relay.put,
    ...relay.guest(FRAME.FAILED, 2, CONTROL, [...u32(126), ...string("permission denied")]),
    ...relay.takeOut,
  ],
  "the-client-leaves": [
    ...runs,
    ...relay.leave,
    ...relay.put,
    ...writes,
    ...relay.put,
    ...exits,
    ...relay.open,
  ],
  "the-client-leaves-before-the-start": [...asked, ...relay.leave, ...relay.put, ...relay.open],
  "the-client-does-not-read": [
    ...runs,
    ...writes,
    ...relay.guest(FRAME.DATA, 2, STDOUT, [], 32768),
    ...exits,
  ],
  "a-hostile-client": [
    ...runs,
    ...relay.client(FRAME.WINDOW, 1, STDOUT, u32(1 << 24)),
    ...relay.put,
    ...writes,
  ],
};
