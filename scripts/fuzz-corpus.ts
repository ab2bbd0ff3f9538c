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
import { text } from "./fuzz-corpus-frames.ts";
import { guest } from "./fuzz-corpus-guest.ts";
import { relays } from "./fuzz-corpus-relay.ts";
import { session } from "./fuzz-corpus-session.ts";
import { ROOT } from "./make-dist.ts";

type Bytes = readonly number[] | Uint8Array;

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
