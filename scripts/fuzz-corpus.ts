// Writes the fuzzers' first inputs, native/fuzz/corpus/TARGET/NAME: documents by the encoders that urunc has, and
// scripts of a container's life in the words of native/fuzz/TARGET_fuzz.c. Inputs of other names are left alone.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DocumentWriter } from "../src/guest/document.ts";
import { encodeExec, encodeLaunch } from "../src/guest/launch.ts";
import { encodeMachine, type Machine } from "../src/guest/machine.ts";
import { encodeProcess } from "../src/guest/process.ts";
import { Tag } from "../src/guest/protocol.ts";
import type { GuestNetwork } from "../src/network/guest-network.ts";
import { console, direct } from "./fuzz-corpus-direct.ts";
import { ROOT } from "./make-dist.ts";

type Bytes = readonly number[] | Uint8Array;

const FRAME = {
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

const [STDIN, STDOUT, STDERR, CONTROL] = [0, 1, 2, 3];

const u16 = (value: number): number[] => [value & 0xff, value >> 8];
const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
const text = (value: string): number[] => [...new TextEncoder().encode(value)];
const string = (value: string): number[] => [...text(value), 0];

/** A frame in a script (`native/fuzz/frames.h`); `length` where it is not the payload's. */
function frame(
  type: number,
  process: number,
  channel: number,
  payload: number[] = [],
  length = payload.length,
) {
  return [type, process, channel, ...u16(length), payload.length, ...payload];
}

/** The same frame as it is on the wire. */
function wire(type: number, process: number, channel: number, payload: number[] = []): number[] {
  return [...u32(payload.length), ...u16(type), 0, 0, ...u32(process * 4 + channel), ...payload];
}

/** RFC 1035: what the address of "a" is. */
const QUESTION = [...[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], ...[1, ...text("a"), 0], ...[0, 1, 0, 1]];
const HELLO = [...u32(0x4e525555), ...u16(1), ...u16(1), ...u32(0)];

const process = encodeProcess({
  user: { uid: 1000, gid: 100, umask: 0o27, additionalGids: [5, 6] },
  args: ["sh", "-c", "echo hello"],
  env: ["PATH=/usr/bin:/bin", "LINES=a\nb"],
  cwd: "/work",
  capabilities: { bounding: ["CAP_CHOWN"], permitted: ["CAP_CHOWN"], effective: ["CAP_CHOWN"] },
  noNewPrivileges: true,
  rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 4096 }],
  oomScoreAdj: -5,
  terminal: true,
  consoleSize: { height: 24, width: 80 },
});
const least = encodeProcess({ user: { uid: 0, gid: 0 }, args: ["a"], cwd: "/" });

const machine: Machine = {
  hostname: "guest",
  domainname: "example.org",
  root: {
    kind: "share",
    share: { type: "9p", source: "share", options: "trans=virtio,version=9p2000.L" },
    subdirectory: "rootfs",
    readOnly: true,
  },
  mounts: [
    {
      kind: "filesystem",
      type: "tmpfs",
      source: "tmpfs",
      destination: "/dev",
      data: "mode=755",
      flags: 2,
      propagation: 0,
      copyUp: true,
    },
    { kind: "share", source: "mounts/0", destination: "/etc/hosts", flags: 4096, propagation: 0 },
  ],
  devices: [{ type: "c", path: "/dev/fuse", major: 10, minor: 229, mode: 0o666, uid: 0, gid: 0 }],
  sysctls: [["net.ipv4.ip_unprivileged_port_start", "0"]],
  cgroup: [["pids.max", "100"]],
  maskedPaths: ["/proc/kcore"],
  readonlyPaths: ["/proc/sys"],
};

const network: GuestNetwork = {
  kind: "user",
  nameservers: ["10.0.2.3"],
  links: [
    {
      name: "eth0",
      mac: "02:42:ac:11:00:02",
      mtu: 1500,
      addresses: [{ family: 4, address: "172.17.0.2", prefixLength: 16, broadcast: "172.17.255.255" }],
      routes: [
        {
          family: 4,
          destination: "0.0.0.0",
          prefixLength: 0,
          gateway: "172.17.0.1",
          scope: 0,
          metric: 0,
          onLink: false,
        },
      ],
    },
  ],
};

const resolvers = [
  { family: 4, address: "127.0.0.11" },
  { family: 6, address: "::1" },
] as const;

const machineDocument = encodeMachine(machine, network, resolvers);

const overlay = encodeMachine(
  {
    ...machine,
    root: {
      kind: "overlay",
      lower: { type: "erofs", serial: "lower" },
      layer: { type: "erofs", serial: "layer" },
      upper: { type: "ext4", serial: "upper", options: "" },
      share: { type: "virtiofs", source: "share", options: "" },
      readOnly: false,
    },
  },
  { kind: "none" },
);

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

const session: Record<string, number[]> = {
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
const relays: Record<string, number[]> = {
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
const guest: Record<string, number[]> = {
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

const documents: Record<string, Bytes> = {
  process,
  "least-process": least,
  query: new DocumentWriter().add(Tag.QUERY, { string: "ps" }, { string: "" }).add(Tag.NO_STDIN).bytes(),
  machine: machineDocument,
  overlay,
};

const launches: Record<string, Bytes> = {
  container: [
    0,
    ...encodeLaunch({
      monitor: ["/usr/bin/qemu-system-x86_64", "-M", "microvm"],
      agent: { machine: machineDocument, process },
      terminal: true,
      bootTimeout: 60_000,
      memoryLimit: 2 ** 28,
      resolvers,
    }),
  ],
  direct: [0, ...encodeLaunch({ monitor: ["/m"], agent: undefined, terminal: false, bootTimeout: 1 })],
  vsock: [
    0,
    ...encodeLaunch({
      monitor: ["/usr/bin/firecracker"],
      agent: { machine: machineDocument, process: least },
      agentSocket: "/run/urunc/vsock.sock_1024",
      consoleOnStdio: true,
      terminal: false,
      bootTimeout: 60_000,
    }),
  ],
  exec: [1, ...encodeExec(least, { terminal: false, attached: true })],
};

const sentences: Record<string, Bytes> = {
  plain: [200, ...text('exec: "x": executable file not found in $PATH')],
  "terminal-escapes": [200, ...text("\u001b]0;title\u0007\u001b[2J\u009b31m red\r\nnext line")],
  "marks-that-reorder": [200, ...text("\u202e\u2066 right to left \u2028 \u{1f600}")],
  "not-utf-8": [20, 0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0xf5, 0xe2, 0x80],
  cut: [5, ...text("éééé")],
};

write("session", session);
write("direct", direct);
write("console", console);
write("relay", relays);
write("guest", guest);
// In one piece, and of the announced size.
write(
  "document",
  Object.fromEntries(Object.entries(documents).map(([name, bytes]) => [name, [0, 255, ...bytes]])),
);
write("launch", launches);
write("sentence", sentences);

function write(target: string, inputs: Record<string, Bytes>): void {
  const directory = join(ROOT, "native/fuzz/corpus", target);
  mkdirSync(directory, { recursive: true });
  for (const [name, bytes] of Object.entries(inputs))
    writeFileSync(join(directory, name), Uint8Array.from(bytes));
}
