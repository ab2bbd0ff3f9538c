// The first inputs of the fuzzers that look at machines without an agent: `native/fuzz/direct_fuzz.c`, `console_fuzz.c`.

import { text } from "./fuzz-corpus-frames.ts";

/** What the image's init reads: its configuration, the address, words, a command. */
export const direct = {
  configuration: [
    0,
    ...text("UES\nA=b\nUEE\nUCS\nUID: 1\nGID:2\nWD:/x\nRLIMIT:RLIMIT_CORE:1:2\nUCE\nUBS\nID:d\nMP:/y\nUBE"),
  ],
  address: [1, ...text("quiet ip=10.0.0.2::10.0.0.1:255.255.255.0:name:eth0:off")],
  words: [2, ...text("/bin/sh -c 'echo a' \"b c\" d'")],
  command: [3, ...text("terminal 24 80")],
};

/** What the init says, and what comes by the console. */
export const console = {
  init: [0, ...text("urunit 1\nurunit started\nurunit taken 5\nurunit failed 127 no\nurunit exited 127\n")],
  panic: [
    1,
    ...text("[    1.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300\n"),
  ],
  output: [1, ...text("[    1.000000] a\r\n\r\nb\r\n")],
};
