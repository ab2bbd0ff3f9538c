import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Content, ContentStore } from "../../src/image/layers/content.ts";
import {
  type ByteString,
  bytesOf,
  type Directory,
  type Inode,
  placesOf,
  plainDirectory,
} from "../../src/image/layers/tree.ts";
import { succeed } from "./command.ts";

/** What a file of a tree and one on a disk are compared by; a line for each path, in the order of the paths. */
export type Listing = Record<string, string>;

/** What a tree is to become. */
export function listTree(tree: Directory, store: ContentStore): Listing {
  const firsts = new Map<Inode, ByteString>();
  const lines: [ByteString, string][] = placesOf(tree).map(({ path, inode, links }) => {
    const first = firsts.get(inode) ?? path;
    firsts.set(inode, first);
    const { seconds, nanoseconds } = inode.mtime;
    const line = describe({
      kind: inode.kind,
      mode: inode.mode,
      owner: `${inode.uid}:${inode.gid}`,
      time: String(BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)),
      ...(inode.kind === "directory" ? {} : { links, same: first }),
      ...("major" in inode ? { device: `${inode.major}:${inode.minor}` } : {}),
      ...("target" in inode ? { target: inode.target } : {}),
      ...("content" in inode ? { size: inode.content.size, hash: hashOf(store.readAll(inode.content)) } : {}),
      xattrs: [...inode.xattrs]
        .map(([name, value]) => `${name}=${Buffer.from(value).toString("hex")}`)
        .sort(),
    });
    return [path, line];
  });
  return sorted(lines);
}

/** What is below a directory of this machine. Root only. */
export async function listFiles(root: string): Promise<Listing> {
  const xattrs = await readXattrs(root);
  const firsts = new Map<string, ByteString>();
  const lines: [ByteString, string][] = [];
  const visit = (path: ByteString) => {
    const full = Buffer.from(path === "" ? root : `${root}/${path}`, "latin1");
    const status = lstatSync(full, { bigint: true });
    const type = Number(status.mode) & 0o170000;
    const kind = KINDS.get(type);
    if (kind === undefined) throw new Error(`${full} has an unknown mode ${status.mode.toString(8)}`);
    if (kind === "directory") {
      for (const name of readdirSync(full, { encoding: "buffer" })) {
        const text = name.toString("latin1");
        visit(path === "" ? text : `${path}/${text}`);
      }
    }
    const first = firsts.get(String(status.ino));
    // The names come in any order.
    if (first === undefined || path < first) firsts.set(String(status.ino), path);
    const isDevice = kind === "character" || kind === "block";
    lines.push([
      path,
      describe({
        kind,
        mode: Number(status.mode) & 0o7777,
        owner: `${status.uid}:${status.gid}`,
        time: String(status.mtimeNs),
        ...(kind === "directory" ? {} : { links: Number(status.nlink), same: String(status.ino) }),
        ...(isDevice ? { device: `${major(status.rdev)}:${minor(status.rdev)}` } : {}),
        ...(kind === "link" ? { target: readlinkSync(full, { encoding: "buffer" }).toString("latin1") } : {}),
        ...(kind === "file" ? { size: Number(status.size), hash: hashOf([readFileSync(full)]) } : {}),
        xattrs: xattrs.get(path) ?? [],
      }),
    ]);
  };
  visit("");
  return sorted(
    lines.map(([path, line]) => [
      path,
      line.replace(/"same":"([0-9]+)"/, (_, number) => `"same":${JSON.stringify(firsts.get(number))}`),
    ]),
  );
}

const KINDS: ReadonlyMap<number, Inode["kind"]> = new Map([
  [0o010000, "fifo"],
  [0o020000, "character"],
  [0o040000, "directory"],
  [0o060000, "block"],
  [0o100000, "file"],
  [0o120000, "link"],
]);

function describe(fields: Record<string, unknown>): string {
  return JSON.stringify(fields);
}

function sorted(lines: readonly [ByteString, string][]): Listing {
  return Object.fromEntries([...lines].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function hashOf(parts: Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** As the C library takes a number of 64 bits apart. */
function major(device: bigint): bigint {
  return ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
}

function minor(device: bigint): bigint {
  return (device & 0xffn) | ((device >> 12n) & ~0xffn);
}

/** `NAME=HEX` of each path that has some. */
async function readXattrs(root: string): Promise<Map<ByteString, string[]>> {
  const output = await succeed([
    ...["getfattr", "--recursive", "--physical", "--no-dereference", "--absolute-names", "--dump"],
    ...["--match=-", "--encoding=hex", root],
  ]);
  const found = new Map<ByteString, string[]>();
  for (const block of output.split("\n\n")) {
    const [head, ...lines] = block.split("\n").filter(Boolean);
    if (head === undefined) continue;
    const path = head
      .replace(/^# file: /, "")
      .replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)))
      .slice(root.length + 1);
    found.set(path, lines.map((line) => line.replace(/=?$|=0x/, "=")).sort());
  }
  return found;
}

/** A tree that has something of everything that file systems differ in. */
export function sampleTree(store: ContentStore): Directory {
  const root = plainDirectory();
  const owned = { mode: 0o644, uid: 0, gid: 0, mtime: { seconds: 1_700_000_000, nanoseconds: 123_456_789 } };
  const none = { ...owned, xattrs: new Map<ByteString, Uint8Array>() };
  const directory = (parent: Directory, name: ByteString, more: Partial<Directory> = {}) => {
    const made: Directory = { ...none, kind: "directory", mode: 0o755, children: new Map(), ...more };
    parent.children.set(name, made);
    return made;
  };
  const file = (size: number): Inode => ({ ...none, kind: "file", content: keep(store, size) });

  const sizes = directory(root, "sizes");
  for (const size of [0, 1, 3900, 4000, 4095, 4096, 4097, 8192, 100_000, 1_500_000]) {
    sizes.children.set(`${size}`, file(size));
  }
  const holes = directory(root, "holes");
  const middle = keep(store, 10_000).runs[0]?.position as number;
  const end = keep(store, 5).runs[0]?.position as number;
  holes.children.set("middle", {
    ...none,
    kind: "file",
    content: {
      size: 20_000_000,
      runs: [
        { at: 0, position: end, length: 5 },
        { at: 100, position: end, length: 5 },
        { at: 5_000_001, position: middle, length: 10_000 },
        { at: 19_999_995, position: end, length: 5 },
      ],
    },
  });
  holes.children.set("nothing", { ...none, kind: "file", content: { size: 3_000_001, runs: [] } });
  const scattered = keep(store, 4096 * 1500).runs[0]?.position as number;
  const runs = Array.from({ length: 1500 }, (_, index) => ({
    at: index * 16_384 + 5000,
    position: scattered + index * 4096,
    length: 4096,
  }));
  holes.children.set("many", { ...none, kind: "file", content: { size: 1500 * 16_384, runs } });

  const many = directory(root, "many", { mode: 0o1777 });
  for (let index = 0; index < 2000; index++)
    many.children.set(`name-${index}-${"x".repeat(index % 200)}`, file(index % 3));
  const deep = directory(root, "deep");
  let below = deep;
  for (let depth = 0; depth < 60; depth++) below = directory(below, `level-${depth}`);
  below.children.set("bottom", file(10));

  const names = directory(root, "names");
  for (const name of [bytesOf("ä €"), "not\xff utf-8", "new\nline", 'quote"\\', "x".repeat(255), " "]) {
    names.children.set(name, file(3));
  }
  const links = directory(root, "links");
  for (const length of [1, 59, 60, 61, 300, 4000]) {
    links.children.set(`to-${length}`, { ...none, kind: "link", mode: 0o777, target: "t".repeat(length) });
  }
  const shared = file(5000);
  for (const place of [links, deep, below]) place.children.set("shared", shared);
  const pipe: Inode = { ...none, kind: "fifo" };
  links.children.set("pipe", pipe);
  links.children.set("pipe-again", pipe);

  const devices = directory(root, "devices");
  devices.children.set("null", { ...none, kind: "character", mode: 0o666, major: 1, minor: 3 });
  devices.children.set("zero", { ...none, kind: "character", mode: 0o000, major: 0, minor: 0 });
  devices.children.set("large", { ...none, kind: "block", major: 4095, minor: 1_048_575 });

  const owners = directory(root, "owners", { uid: 1000, gid: 65_534, mode: 0o2750 });
  owners.children.set("set-id", { ...(file(9) as Inode), mode: 0o6711, uid: 70_000, gid: 3_000_000_000 });
  const times = directory(root, "times");
  for (const seconds of [-1_000_000_000, -1, 0, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 33]) {
    times.children.set(`${seconds}`, { ...(file(1) as Inode), mtime: { seconds, nanoseconds: 999_999_999 } });
  }

  const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
  const acl = Buffer.from(
    "0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000400ffffffff",
    "hex",
  );
  const attributes = directory(root, "attributes", {
    xattrs: new Map([["user.of-directory", Buffer.from([0, 255])]]),
  });
  const attributed = (name: string, xattrs: [string, Uint8Array][]) => {
    attributes.children.set(name, { ...file(7), xattrs: new Map(xattrs) });
  };
  attributed("capability", [["security.capability", capability]]);
  attributed("bytes", [
    ["user.bytes", Buffer.from([0, 10, 61, 255])],
    ["user.empty", Buffer.alloc(0)],
  ]);
  attributed("acl", [["system.posix_acl_access", acl]]);
  attributed("large", [
    ["user.large", Buffer.alloc(3001, 7)],
    ["trusted.b", Buffer.from("x")],
    ["user.a", capability],
  ]);
  attributes.children.set("link", {
    ...none,
    kind: "link",
    mode: 0o777,
    target: "bytes",
    xattrs: new Map([["trusted.of-link", Buffer.from("y")]]),
  });
  return root;
}

/** A file's content that differs from place to place. */
function keep(store: ContentStore, size: number): Content {
  const position = store.position;
  const bytes = Buffer.alloc(size);
  for (let index = 0; index < size; index++) bytes[index] = (index * 7 + (index >> 8) + size) & 0xff;
  store.append(bytes);
  return { size, runs: size === 0 ? [] : [{ at: 0, position, length: size }] };
}
