import { expect, test } from "bun:test";
import { DocumentWriter } from "./document.ts";
import { encodeExec, encodeLaunch } from "./launch.ts";
import { encodeMachine, type Machine } from "./machine.ts";
import { encodeProcess } from "./process.ts";
import { DOCUMENT_MAX, Tag } from "./protocol.ts";

interface Record {
  tag: number;
  value: Uint8Array;
}

/** Reads a document back by the contract's own words, independent of the writer. */
function records(document: Uint8Array): Record[] {
  const view = new DataView(document.buffer, document.byteOffset, document.byteLength);
  const found: Record[] = [];
  for (let at = 0; at < document.length; ) {
    const length = view.getUint32(at + 4, true);
    expect(view.getUint16(at + 2, true)).toBe(0);
    found.push({ tag: view.getUint16(at, true), value: document.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
    expect(at).toBeLessThanOrEqual(document.length);
  }
  return found;
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}

function values(document: Uint8Array, tag: number): Uint8Array[] {
  return records(document)
    .filter((record) => record.tag === tag)
    .map(({ value }) => value);
}

const process = { user: { uid: 1000, gid: 100 }, args: ["a"], cwd: "/w" };

const machine: Machine = {
  hostname: "h",
  root: {
    kind: "share",
    share: { type: "9p", source: "share", options: "trans=virtio" },
    subdirectory: "rootfs",
    readOnly: true,
  },
  mounts: [],
  devices: [],
  sysctls: [],
  cgroup: [],
  maskedPaths: [],
  readonlyPaths: [],
};

test("a record is its tag, its length and its value, little-endian", () => {
  const document = new DocumentWriter().add(Tag.ARG, { string: "é" }).bytes();
  expect(hex(document)).toBe(`0102${"0000"}${"03000000"}c3a900`);
});

test("arguments of every kind arrive byte for byte", () => {
  const args = ["sh", "", " ", "a b", "q\"uo'te", "new\nline", "ünï", "x".repeat(200_000)];
  const strings = values(encodeProcess({ ...process, args }), Tag.ARG).map((value) =>
    new TextDecoder().decode(value),
  );
  expect(strings).toEqual(args.map((arg) => `${arg}\0`));
});

test("a user is uid, gid and a umask that says leave it where there is none", () => {
  expect(hex(values(encodeProcess(process), Tag.USER)[0])).toBe("e803000064000000ffffffff");
  const masked = { ...process, user: { uid: 0, gid: 0, umask: 0o27 } };
  expect(hex(values(encodeProcess(masked), Tag.USER)[0])).toBe("000000000000000017000000");
});

test("capabilities are bit sets by the kernel's numbers, and unknown names give none", () => {
  const capabilities = {
    bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_CHECKPOINT_RESTORE", "CAP_OF_TOMORROW"],
    permitted: ["CAP_CHOWN"],
  };
  const [value] = values(encodeProcess({ ...process, capabilities }), Tag.CAPABILITIES);
  expect(hex(value)).toBe(`2100000000010000${"00".repeat(16)}0100000000000000${"00".repeat(8)}`);
  expect(values(encodeProcess(process), Tag.CAPABILITIES)).toEqual([]);
});

test("limits have Linux's numbers, and the largest means unlimited", () => {
  const rlimits = [
    { type: "RLIMIT_NOFILE", soft: 1024, hard: 2 ** 64 },
    { type: "RLIMIT_CORE", soft: -1, hard: -1 },
  ];
  expect(values(encodeProcess({ ...process, rlimits }), Tag.RLIMIT).map(hex)).toEqual([
    `07000000000000000004000000000000${"ff".repeat(8)}`,
    `0400000000000000${"ff".repeat(16)}`,
  ]);
});

test("a limit that Linux does not have, or one given twice, is refused", () => {
  const limit = (type: string) => ({ type, soft: 1, hard: 1 });
  expect(() => encodeProcess({ ...process, rlimits: [limit("RLIMIT_SPEED")] })).toThrow("wrong rlimit value");
  const twice = [limit("RLIMIT_CPU"), limit("RLIMIT_CPU")];
  expect(() => encodeProcess({ ...process, rlimits: twice })).toThrow("set twice");
});

test("a system call filter is its flags and its program", () => {
  const program = Buffer.from("0600000000000500", "hex").toString("base64");
  const document = encodeProcess(process, { filter: { flags: 4, program } });
  expect(values(document, Tag.SECCOMP).map(hex)).toEqual(["04000000" + "0600000000000500"]);
  expect(values(encodeProcess(process), Tag.SECCOMP)).toEqual([]);
});

test("a program that is not to be process 1 is said to be none", () => {
  expect(values(encodeProcess(process, { notFirst: true }), Tag.NOT_FIRST).map(hex)).toEqual([""]);
  expect(values(encodeProcess(process, { notFirst: false }), Tag.NOT_FIRST)).toEqual([]);
});

test("the machine's links come before addresses, addresses before routes", () => {
  const link = {
    name: "eth0",
    mac: "02:42:ac:11:00:02",
    mtu: 1400,
    tap: "t0",
    addresses: [
      {
        family: 4 as const,
        address: "172.17.0.2",
        prefixLength: 16,
        broadcast: "172.17.255.255",
        withoutRoute: true as const,
      },
    ],
    routes: [
      {
        family: 4 as const,
        destination: "0.0.0.0",
        prefixLength: 0,
        gateway: "172.17.0.1",
        scope: 0,
        metric: 0,
        onLink: false,
      },
      {
        family: 6 as const,
        destination: "::",
        prefixLength: 0,
        gateway: "fe80::1",
        scope: 0,
        metric: 1024,
        onLink: false,
        advertised: true as const,
      },
    ],
  };
  const document = encodeMachine(machine, { kind: "tap", links: [link] });
  const network: number[] = [Tag.LINK, Tag.ADDRESS, Tag.ROUTE, Tag.ROUTE];
  expect(
    records(document)
      .map(({ tag }) => tag)
      .filter((tag) => network.includes(tag)),
  ).toEqual(network);
  expect(hex(values(document, Tag.LINK)[0])).toBe("00000000780500000242ac1100020000" + "6574683000");
  expect(hex(values(document, Tag.ADDRESS)[0])).toBe(
    `0000000004100100ac110002${"00".repeat(12)}ac11ffff${"00".repeat(12)}`,
  );
  expect(hex(values(document, Tag.ROUTE)[0])).toBe(
    `000000000400000100000000${"00".repeat(16)}ac110001${"00".repeat(12)}${"00".repeat(16)}`,
  );
  expect(hex(values(document, Tag.ROUTE)[1])).toBe(
    `000000000600000900040000${"00".repeat(16)}fe80${"00".repeat(13)}01${"00".repeat(16)}`,
  );
});

test("a dead route is its family, prefix length, type, metric and destination", () => {
  const deadRoutes = [
    { family: 6 as const, type: 7, destination: "fd00::", prefixLength: 8, metric: 1024 },
    { family: 4 as const, type: 9, destination: "10.0.0.0", prefixLength: 16, metric: 0 },
  ];
  const document = encodeMachine(machine, { kind: "none", deadRoutes });
  expect(values(document, Tag.DEAD_ROUTE).map(hex)).toEqual([
    `0608070000040000fd${"00".repeat(15)}`,
    `04100900000000000a${"00".repeat(15)}`,
  ]);
});

test("a root is its flags, type, source, options and directory", () => {
  const [value] = values(encodeMachine(machine, { kind: "none" }), Tag.ROOT);
  expect(Buffer.from(value ?? []).toString("latin1")).toBe("\x01\0\0\x009p\0share\0trans=virtio\0rootfs\0");
});

test("an overlay is its flags and its file systems, and the share is beside it", () => {
  const share = { type: "virtiofs", source: "share", options: "" };
  const lower = { type: "erofs", serial: "lower" } as const;
  const layer = { type: "ext4", serial: "layer" } as const;
  const upper = { type: "ext4", serial: "upper", options: "noatime" } as const;
  const document = encodeMachine(
    { ...machine, root: { kind: "overlay", lower, layer, upper, share, readOnly: true } },
    { kind: "none" },
  );
  const text = (tag: number) => values(document, tag).map((value) => Buffer.from(value).toString("latin1"));
  expect(text(Tag.OVERLAY)).toEqual(["\x01\0\0\0erofs\0lower\0ext4\0upper\0noatime\0"]);
  expect(text(Tag.LAYER)).toEqual(["ext4\0layer\0"]);
  expect(text(Tag.SHARE)).toEqual(["virtiofs\0share\0\0"]);
  expect(text(Tag.ROOT)).toEqual([]);
  const inMemory = {
    kind: "overlay",
    lower,
    upper: { type: "tmpfs", options: "" },
    readOnly: false,
  } as const;
  const alone = encodeMachine({ ...machine, root: inMemory }, { kind: "none" });
  expect(values(alone, Tag.OVERLAY).map(hex)).toEqual([
    `00000000${Buffer.from("erofs\0lower\0tmpfs\0\0\0").toString("hex")}`,
  ]);
  expect(values(alone, Tag.LAYER)).toEqual([]);
  expect(values(alone, Tag.SHARE)).toEqual([]);
});

test("a disk is its flags, its file system and its serial, as the root and as a mount", () => {
  const disk = { ...machine, root: { kind: "disk", type: "cpio", serial: "root", readOnly: false } as const };
  const mount = {
    kind: "disk",
    type: "ext4",
    source: "volume",
    destination: "/d",
    flags: 1,
    propagation: 0,
  } as const;
  const document = encodeMachine({ ...disk, mounts: [mount] }, { kind: "none" });
  const text = (tag: number) => values(document, tag).map((value) => Buffer.from(value).toString("latin1"));
  expect(text(Tag.DISK)).toEqual(["\0\0\0\0cpio\0root\0\0"]);
  expect(text(Tag.MOUNT)).toEqual(["\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0ext4\0volume\0/d\0\0"]);
});

test("a limit is its file's name and its value", () => {
  const limited = { ...machine, cgroup: [["pids.max", "7"] as [string, string]] };
  const [value] = values(encodeMachine(limited, { kind: "none" }), Tag.CGROUP);
  expect(Buffer.from(value ?? []).toString("latin1")).toBe("pids.max\x007\0");
  expect(values(encodeMachine(machine, { kind: "none" }), Tag.CGROUP)).toEqual([]);
});

test("a launch document holds the monitor's arguments and both documents", () => {
  const document = encodeLaunch({
    monitor: ["/usr/bin/qemu", "-x"],
    agent: { machine: new Uint8Array([1]), process: new Uint8Array([2, 3]) },
    terminal: true,
    bootTimeout: 60_000,
    memoryLimit: 2 ** 32,
  });
  expect(records(document).map(({ tag, value }) => [tag, hex(value)])).toEqual([
    [Tag.MONITOR_ARG, hex(Buffer.from("/usr/bin/qemu\0"))],
    [Tag.MONITOR_ARG, hex(Buffer.from("-x\0"))],
    [Tag.MACHINE, "01"],
    [Tag.PROCESS, "0203"],
    [Tag.LAUNCH_TERMINAL, ""],
    [Tag.BOOT_TIMEOUT, "60ea0000"],
    [Tag.MEMORY_LIMIT, "0000000001000000"],
  ]);
});

test("the document of a further process holds it, and what it is tied to", () => {
  const tagsOf = (terminal: boolean, attached: boolean) =>
    records(encodeExec(new Uint8Array([7]), { terminal, attached })).map(({ tag }) => tag);
  expect(tagsOf(false, false)).toEqual([Tag.PROCESS]);
  expect(tagsOf(true, true)).toEqual([Tag.PROCESS, Tag.LAUNCH_TERMINAL, Tag.LAUNCH_ATTACHED]);
});

test("both documents have the same resolvers, with their addresses in 16 bytes", () => {
  const resolvers = [
    { family: 4 as const, address: "127.0.0.11" },
    { family: 6 as const, address: "::1" },
  ];
  const records = [`04000000${"7f00000b"}${"00".repeat(12)}`, `06000000${"00".repeat(15)}01`];
  expect(values(encodeMachine(machine, { kind: "none" }, resolvers), Tag.RESOLVER).map(hex)).toEqual(records);
  const document = encodeLaunch({
    monitor: ["m"],
    agent: { machine: new Uint8Array(), process: new Uint8Array() },
    terminal: false,
    bootTimeout: 1,
    resolvers,
  });
  expect(values(document, Tag.LAUNCH_RESOLVER).map(hex)).toEqual(records);
});

test("ports of the loopback that lead elsewhere are a record each, with the port and the address", () => {
  const elsewhere = { address: "169.254.193.1", ports: [80, 9121] };
  const document = encodeMachine(machine, { kind: "tap", links: [], elsewhere });
  expect(values(document, Tag.LOOPBACK_PORT).map(hex)).toEqual(["50000000a9fec101", "a1230000a9fec101"]);
});

test("the file server's arguments are records of their own, behind the monitor's", () => {
  const document = encodeLaunch({
    monitor: ["/usr/bin/qemu"],
    fileServer: ["/usr/lib/qemu/virtiofsd", "-f"],
    agent: { machine: new Uint8Array(), process: new Uint8Array() },
    terminal: false,
    bootTimeout: 1,
  });
  expect(records(document).map(({ tag }) => tag)).toEqual([
    Tag.MONITOR_ARG,
    Tag.FILE_SERVER,
    Tag.FILE_SERVER,
    Tag.MACHINE,
    Tag.PROCESS,
    Tag.BOOT_TIMEOUT,
  ]);
  expect(values(document, Tag.FILE_SERVER).map(hex)[1]).toBe(hex(Buffer.from("-f\0")));
});

test("a monitor that has no socket to inherit is told where to connect, and where its console is", () => {
  const document = encodeLaunch({
    monitor: ["/usr/bin/firecracker"],
    agent: { machine: new Uint8Array(), process: new Uint8Array() },
    agentSocket: "/run/urunc/vsock.sock_1024",
    consoleOnStdio: true,
    terminal: false,
    bootTimeout: 1,
  });
  expect(records(document).map(({ tag }) => tag)).toEqual([
    Tag.MONITOR_ARG,
    Tag.MACHINE,
    Tag.PROCESS,
    Tag.AGENT_SOCKET,
    Tag.CONSOLE_ON_STDIO,
    Tag.BOOT_TIMEOUT,
  ]);
  expect(values(document, Tag.AGENT_SOCKET).map(hex)).toEqual([
    hex(Buffer.from("/run/urunc/vsock.sock_1024\0")),
  ]);
});

test("without an agent there are no documents, and the stand-in is told so", () => {
  const document = encodeLaunch({ monitor: ["/m"], agent: undefined, terminal: false, bootTimeout: 1 });
  expect(records(document).map(({ tag }) => tag)).toEqual([
    Tag.MONITOR_ARG,
    Tag.LAUNCH_DIRECT,
    Tag.BOOT_TIMEOUT,
  ]);
});

test("a document that the guest would refuse is refused here, with the limit", () => {
  const agent = { machine: new Uint8Array(), process: new Uint8Array(DOCUMENT_MAX + 1) };
  expect(() => encodeLaunch({ monitor: ["m"], agent, terminal: false, bootTimeout: 1 })).toThrow(
    "at most 4194304",
  );
});
