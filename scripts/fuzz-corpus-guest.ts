// The first inputs of `native/fuzz/guest_fuzz.c`.

import {
  CONTROL,
  FRAME,
  frame,
  QUESTION,
  STDERR,
  STDIN,
  STDOUT,
  text,
  u16,
  u32,
} from "./fuzz-corpus-frames.ts";

/** `native/fuzz/guest_fuzz.c`: an action, and then what the kernel and the processes answer while it is done. */
const agent = {
  frame: (...words: Parameters<typeof frame>) => [3, ...frame(...words)],
  start: (number: number) => [4, number],
  refuse: [5, 3],
  /** All descriptors are ready, and the port takes what there is. */
  serve: (...answers: number[]) => [6, 47, ...answers, 255],
  /** The same, after a process has ended. */
  reap: (pid: number, status: number, ...answers: number[]) => [
    ...[6, 63, 199 + pid, ...u16(status), 0],
    ...[...answers, 255],
  ],
};
const RUNS = 5;
const guestUp = [
  1,
  ...agent.frame(FRAME.DOCUMENT, 0, CONTROL, u32(0)),
  ...agent.frame(FRAME.START, 0, CONTROL),
];
export const guest: Record<string, number[]> = {
  "a-life": [
    0,
    ...agent.frame(FRAME.WELCOME, 0, CONTROL, [...u16(1), ...u16(0), ...u32(65536)]),
    ...agent.frame(FRAME.CLOCK, 0, CONTROL, [...u32(0), ...u32(400_000_000)]),
    ...agent.frame(FRAME.ENTROPY, 0, CONTROL, text("random")),
    ...guestUp.slice(1),
    ...agent.start(1),
    ...agent.serve(RUNS),
    ...agent.frame(FRAME.DATA, 1, STDIN, text("in")),
    ...agent.serve(100, 200, 0, 100, 0),
    ...agent.frame(FRAME.WINDOW, 1, STDOUT, u32(1000)),
    ...agent.frame(FRAME.SIGNAL, 1, CONTROL, u32(15)),
    ...agent.frame(FRAME.RESIZE, 1, CONTROL, [...u16(24), ...u16(80)]),
    ...agent.frame(FRAME.EOF, 1, STDIN),
    ...agent.frame(FRAME.EOF, 1, STDERR),
    ...agent.frame(FRAME.DNS_ANSWER, 0, CONTROL, [...u32(1), ...u32(0), ...QUESTION]),
    ...agent.reap(1, 0, 255, 255),
  ],
  "further-processes": [
    ...guestUp,
    ...agent.start(1),
    ...agent.serve(RUNS),
    ...agent.start(2),
    ...agent.start(3),
    // The third fails.
    ...agent.serve(0, 0, RUNS, 4),
    ...agent.serve(100, 0, 0, 100, 0, 0),
    ...agent.frame(FRAME.SIGNAL, 2, CONTROL, u32(9)),
    ...agent.reap(2, 9, 0, 0, 255, 255),
  ],
  "all-fail-at-once-in-many-words": [
    ...guestUp,
    ...agent.start(1),
    ...agent.serve(RUNS),
    ...Array.from({ length: 64 }, (_, index) => agent.start(index + 2)).flat(),
    ...agent.serve(...Array.from({ length: 64 }, () => 252)),
  ],
  refused: [1, ...agent.refuse, ...guestUp.slice(1)],
  "given-up": [
    ...guestUp,
    ...agent.frame(FRAME.DOCUMENT, 2, CONTROL, u32(100)),
    ...agent.frame(FRAME.SIGNAL, 2, CONTROL, u32(9)),
  ],
};
