// The first inputs of `native/fuzz/session_fuzz.c`.

import {
  CONTROL,
  FRAME,
  frame,
  HELLO,
  QUESTION,
  STDERR,
  STDIN,
  STDOUT,
  string,
  text,
  u16,
  u32,
  wire,
} from "./fuzz-corpus-frames.ts";

/** `native/fuzz/session_fuzz.c`: what the host does, by number. */
const host = {
  raw: (bytes: number[]) => [0, bytes.length, ...bytes],
  pieces: (size: number) => [1, size - 1],
  output: (most: number) => [2, ...u16(most)],
  allOutput: [3],
  signal: (number: number) => [4, number - 1],
  resize: [5, ...u16(24), ...u16(80)],
  grant: (channel: number) => [channel === STDOUT ? 6 + 16 : 6, 0xff, 0xff],
  input: (most: number) => [7, ...u16(most)],
  addOrRemove: (place: number) => [8, place],
  move: (place: number) => [9, place, 100, 0],
  grantAdded: (place: number) => [10 + 16, place],
  refuse: (channel: number) => [channel === STDOUT ? 11 + 16 : 11],
  answer: (exchange: number) => [12, exchange, ...u16(30)],
  guest: (...words: Parameters<typeof frame>) => [13, ...frame(...words)],
};

const booted = [
  ...host.guest(FRAME.HELLO, 0, CONTROL, HELLO),
  ...host.allOutput,
  ...host.guest(FRAME.STARTED, 0, CONTROL, u32(0)),
  ...host.guest(FRAME.STARTED, 1, CONTROL, u32(9)),
];
const ended = [
  ...host.guest(FRAME.EOF, 1, STDOUT),
  ...host.guest(FRAME.EOF, 1, STDERR),
  ...host.guest(FRAME.EXITED, 1, CONTROL, [...u32(3), ...u32(1)]),
];
const plain = [0, ...u16(30), ...u16(40)];
const added = [...host.addOrRemove(0), ...host.move(0), ...host.allOutput];
const joined = [...added, ...host.move(0), ...host.guest(FRAME.STARTED, 2, CONTROL, u32(12))];

export const session: Record<string, number[]> = {
  "a-life": [
    ...plain,
    ...booted,
    ...host.guest(FRAME.DATA, 1, STDOUT, text("hello\n")),
    ...host.guest(FRAME.DATA, 1, STDERR, [], 32768),
    ...host.grant(STDERR),
    ...host.input(100),
    ...host.allOutput,
    ...host.guest(FRAME.WINDOW, 1, STDIN, u32(100)),
    ...host.signal(15),
    ...host.resize,
    ...host.allOutput,
    ...host.input(0),
    ...host.refuse(STDOUT),
    ...host.guest(FRAME.EOF, 1, STDIN),
    ...ended,
    ...host.guest(FRAME.BYE, 0, CONTROL),
  ],
  "in-single-bytes": [
    ...plain,
    ...host.pieces(1),
    ...booted,
    ...host.guest(FRAME.DATA, 1, STDOUT, text("ab")),
    ...ended,
  ],
  "with-a-terminal": [
    2,
    ...plain.slice(1),
    ...booted,
    ...host.guest(FRAME.DATA, 1, STDOUT, text("$ ")),
    ...host.guest(FRAME.EOF, 1, STDOUT),
    ...host.guest(FRAME.EXITED, 1, CONTROL, [...u32(0), ...u32(0)]),
  ],
  "large-documents": [0, ...u16(65000), ...u16(65535), ...booted, ...host.output(5000), ...host.allOutput],
  "the-machine-fails": [
    ...plain,
    ...host.guest(FRAME.HELLO, 0, CONTROL, HELLO),
    ...host.guest(FRAME.FAILED, 0, CONTROL, [...u32(128), ...string("no root")]),
    ...host.guest(FRAME.BYE, 0, CONTROL),
  ],
  "the-process-fails": [
    ...plain,
    ...booted.slice(0, -11),
    ...host.guest(FRAME.FAILED, 1, CONTROL, [...u32(127), ...string('exec: "x": executable file not found')]),
    ...host.guest(FRAME.BYE, 0, CONTROL),
  ],
  apart: [
    1,
    ...plain.slice(1),
    ...host.allOutput,
    ...host.guest(FRAME.STARTED, 1, CONTROL, u32(7)),
    ...host.guest(FRAME.DATA, 1, STDOUT, text("x")),
    ...ended,
  ],
  "an-added-process": [
    ...plain,
    ...booted,
    ...joined,
    ...host.move(0),
    ...host.guest(FRAME.DATA, 2, STDOUT, [], 20000),
    ...host.grantAdded(0),
    ...host.guest(FRAME.WINDOW, 2, STDIN, u32(100)),
    ...host.guest(FRAME.EOF, 2, STDOUT),
    ...host.guest(FRAME.EXITED, 2, CONTROL, [...u32(0), ...u32(0)]),
    ...host.addOrRemove(0),
    ...ended,
  ],
  "an-added-process-given-up": [
    ...plain,
    ...booted,
    ...added,
    ...host.addOrRemove(0),
    ...host.guest(FRAME.FAILED, 2, CONTROL, [...u32(128), ...string("no memory")]),
    ...host.addOrRemove(0),
  ],
  "more-than-its-credit": [
    ...plain,
    ...booted,
    ...[1, 2, 3].flatMap(() => host.guest(FRAME.DATA, 1, STDOUT, [], 32768)),
  ],
  "a-name": [
    4,
    ...plain.slice(1),
    ...booted,
    ...host.guest(FRAME.DNS_QUERY, 0, CONTROL, [...u32(7), ...[0, 1], ...u16(0), ...QUESTION]),
    ...host.answer(7),
    ...host.allOutput,
    ...host.guest(FRAME.DNS_QUERY, 0, CONTROL, [...u32(8), ...[1, 0], ...u16(0), ...QUESTION]),
  ],
  "one-byte-more-than-its-credit": [
    ...plain,
    ...booted,
    ...[32768, 32768, 1].flatMap((length) => host.guest(FRAME.DATA, 1, STDOUT, [], length)),
  ],
  "four-gib": [...plain, ...booted, ...host.raw([...u32(0xffffffff), ...u16(FRAME.DATA), 0, 0, ...u32(5)])],
  "on-the-wire": [
    ...plain,
    ...host.raw([...wire(FRAME.HELLO, 0, CONTROL, HELLO)]),
    ...host.allOutput,
    ...host.raw([
      ...wire(FRAME.STARTED, 0, CONTROL, u32(0)),
      ...wire(FRAME.STARTED, 1, CONTROL, u32(2)),
      ...wire(FRAME.EOF, 1, STDOUT),
      ...wire(FRAME.EOF, 1, STDERR),
      ...wire(FRAME.EXITED, 1, CONTROL, [...u32(0), ...u32(0)]),
      ...wire(FRAME.BYE, 0, CONTROL),
    ]),
  ],
};
