import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { PushReader } from "./push-reader.ts";
import { readTar, type TarEntry, type TarLimits } from "./tar-reader.ts";

type Read = Omit<TarEntry, "offset"> & { bytes?: string };

/** Reads an archive that comes in parts of one size, and checks that files' data is where it is said to be. */
function read(archive: Uint8Array, limits?: TarLimits, size = 1000): Read[] {
  const entries: (TarEntry & { bytes?: string })[] = [];
  const visitor = {
    entry(entry: TarEntry) {
      entries.push(entry.kind === "file" ? { ...entry, bytes: "" } : entry);
    },
    data(part: Buffer) {
      const last = entries.at(-1) as { bytes: string };
      last.bytes += part.toString("latin1");
    },
  };
  const reader = new PushReader((input) => readTar(input, visitor, limits));
  for (let start = 0; start < archive.length; start += size) {
    const part = Buffer.from(archive.subarray(start, start + size));
    reader.push(part);
    // It may be used again.
    part.fill(0xff);
  }
  reader.end();
  return entries.map((entry) => {
    if (entry.kind !== "file") return entry;
    const { offset, bytes = "", ...rest } = entry;
    expect(Buffer.from(archive).toString("latin1", offset, offset + bytes.length)).toBe(bytes);
    return { ...rest, bytes };
  });
}

/** What is said of an archive that is refused. */
function refusal(archive: Uint8Array, limits?: TarLimits): unknown {
  try {
    return read(archive, limits);
  } catch (error) {
    return error;
  }
}

function fixture(name: string): Buffer {
  return gunzipSync(readFileSync(join(import.meta.dir, "fixtures", `${name}.tar.gz`)));
}

const plain = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: { seconds: 1_700_000_000, nanoseconds: 0 },
  xattrs: new Map(),
};
const file = (name: string, bytes: string) => ({
  ...plain,
  kind: "file",
  name,
  size: bytes.length,
  runs: [{ offset: 0, length: bytes.length }],
  bytes,
});

describe("archives of GNU tar and bsdtar", () => {
  const long = "d".repeat(120);
  test.each(["gnu-long-names", "pax-long-names"])("%s", (name) => {
    expect(read(fixture(name))).toEqual([
      { ...plain, kind: "directory", mode: 0o755, name: `${long}/` },
      file(`${long}/${"f".repeat(130)}`, "long\n"),
      { ...plain, kind: "link", mode: 0o777, name: `${long}/link`, target: "t".repeat(150) },
    ] as Read[]);
  });

  test("ustar-prefix", () => {
    expect(read(fixture("ustar-prefix"))).toEqual([file(`${long}/file`, "short\n")] as Read[]);
  });

  test("v7: a name that ends with a slash is a directory", () => {
    expect(read(fixture("v7"))).toEqual([
      file("old", "old\n"),
      { ...plain, kind: "directory", mode: 0o755, name: "olddir/" },
    ] as Read[]);
  });

  test.each([
    ["gnu-base-256-numbers", { seconds: -2, nanoseconds: 0 }],
    ["pax-owner-and-time-before-1970", { seconds: -2, nanoseconds: 500_000_000 }],
  ])("%s", (name, mtime) => {
    expect(read(fixture(name))).toEqual([
      { ...file("file", "a\n"), uid: 3_000_000_000, gid: 4_000_000_000, mtime },
    ] as Read[]);
  });

  test.each(["gnu-sparse-old", "pax-sparse-0.0", "pax-sparse-0.1", "pax-sparse-1.0"])("%s", (name) => {
    const [entry, ...others] = read(fixture(name));
    expect(others).toEqual([]);
    const runs = [1, 3, 5, 7, 9, 11].map((at) => ({ offset: at << 20, length: 4096 }));
    expect(entry).toMatchObject({ kind: "file", name: "sparse", size: 20 << 20, runs });
    const starts = runs.map((_, index) =>
      entry?.bytes?.slice(index * 4096, index * 4096 + 4).replace(/\0+$/, ""),
    );
    expect(starts).toEqual(["x1", "x3", "x5", "x7", "x9", "x11"]);
  });

  test.each([
    ["gnu-pax-binary-xattrs", 0],
    ["bsdtar-pax-xattrs", 250_000_000],
  ])("%s: every byte of the values is kept", (name, nanoseconds) => {
    const [entry] = read(fixture(name));
    expect(entry?.mtime).toEqual({ seconds: 1_700_000_000, nanoseconds });
    const values = [...(entry?.xattrs ?? [])].map(([key, value]) => [
      key,
      Buffer.from(value).toString("hex"),
    ]);
    expect(values.sort()).toEqual([
      ["security.capability", "0100000200200000000000000000000000000000"],
      ["user.bytes", "000a3dff80"],
      ["user.empty", ""],
    ]);
  });

  test("devices-and-links", () => {
    expect(read(fixture("devices-and-links"))).toEqual([
      { ...plain, kind: "directory", mode: 0o755, name: "dev/" },
      file("dev/a", "1\n"),
      { ...plain, kind: "hardlink", name: "dev/b", target: "dev/a" },
      { ...plain, kind: "link", mode: 0o777, name: "dev/c", target: "a" },
      { ...plain, kind: "block", name: "dev/disk", major: 259, minor: 70_000 },
      { ...plain, kind: "character", name: "dev/null", major: 1, minor: 3 },
      { ...plain, kind: "fifo", name: "dev/pipe" },
    ] as Read[]);
  });

  test("bsdtar-ustar-links", () => {
    expect(read(fixture("bsdtar-ustar-links")).map(({ kind, name }) => [kind, name])).toEqual([
      ["file", "dev/a"],
      ["hardlink", "dev/b"],
      ["link", "dev/c"],
    ]);
  });

  test.each(["name-not-utf-8", "bsdtar-name-not-utf-8"])("%s", (name) => {
    expect(read(fixture(name))).toEqual([file("caf\xe9", "latin\n")] as Read[]);
  });

  test("pax-global-header: what it says is of every entry", () => {
    expect(read(fixture("pax-global-header")).map(({ name, uid }) => [name, uid])).toEqual([
      ["old", 77],
      ["olddir/", 77],
    ]);
  });

  test("however the stream is cut into parts", () => {
    for (const name of ["gnu-long-names", "devices-and-links", "pax-sparse-1.0"]) {
      const whole = read(fixture(name), undefined, 1 << 30);
      for (const size of [1, 511, 513]) expect(read(fixture(name), undefined, size)).toEqual(whole);
    }
  });
});

/** A header with a right checksum, and data. */
function entry(
  fields: { name?: string; type?: string; size?: string; mode?: string; magic?: string },
  data = "",
): Buffer {
  const block = Buffer.alloc(512);
  block.write(fields.name ?? "file", 0, "latin1");
  block.write(fields.mode ?? "0000644", 100);
  block.write(fields.size ?? data.length.toString(8), 124, "latin1");
  block.write(fields.type ?? "0", 156);
  block.write(fields.magic ?? "ustar\x0000", 257);
  block.write("        ", 148);
  block.write(`${block.reduce((sum, byte) => sum + byte, 0).toString(8)}\0`, 148);
  return Buffer.concat([block, Buffer.from(data, "latin1"), Buffer.alloc(-data.length & 511)]);
}

function pax(...records: string[]): Buffer {
  const lines = records.map((record) => {
    let line = "";
    while (line.length !== Number.parseInt(line, 10)) line = `${line.length || 3} ${record}\n`;
    return line;
  });
  return entry({ type: "x" }, lines.join(""));
}

const END = Buffer.alloc(1024);

test("an empty stream, and one that ends without zeros, are archives", () => {
  expect(read(Buffer.alloc(0))).toEqual([]);
  expect(read(entry({}, "abc")).map(({ bytes }) => bytes)).toEqual(["abc"]);
});

test("what comes after the end is not an entry", () => {
  expect(read(Buffer.concat([entry({ name: "a" }), END, entry({ name: "b" })]))).toHaveLength(1);
});

test("an extended header is of one entry, and an empty value takes a global one back", () => {
  const global = pax("path=global");
  global.write("g", 156);
  // The sum changed with the type.
  global.write(`${(Number.parseInt(global.toString("latin1", 148, 156), 8) + 103 - 120).toString(8)}\0`, 148);
  const archive = Buffer.concat([
    global,
    entry({}),
    pax("path=own"),
    entry({}),
    pax("path="),
    entry({ name: "x" }),
  ]);
  expect(read(archive).map(({ name }) => name)).toEqual(["global", "own", "x"]);
});

describe("refused with one sentence", () => {
  const cases: [string, Buffer, string][] = [
    ["text", Buffer.alloc(512, "no archive "), "checksum"],
    ["half a header", entry({}).subarray(0, 300), "cut off"],
    ["half a file", entry({}, "x".repeat(600)).subarray(0, 700), "cut off"],
    ["half the zeros behind a file", entry({}, "x").subarray(0, 600), "cut off"],
    ["an extended header without its entry", pax("path=a"), "cut off"],
    ["an unknown type", entry({ type: "M" }), 'unknown type "M"'],
    ["letters as a number", entry({ mode: "0000x44" }), "mode that is no number"],
    [
      "a size beyond all files",
      entry({ size: "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" }),
      "too large",
    ],
    ["a negative size", entry({ size: "\xff".repeat(12) }), "negative size"],
    ["a large extended header", entry({ type: "x", size: "77777777" }), "extended header of 16777215 bytes"],
    ["a long name", entry({ type: "L", size: "40000000" }), "extended header of"],
    [
      "a longer path than Linux has",
      Buffer.concat([pax(`path=${"a/".repeat(2048)}`), entry({})]),
      "4095 bytes",
    ],
    ["a record without a length", entry({ type: "x" }, "path=a\n"), "wrong length"],
    ["a record that is longer than the header", entry({ type: "x" }, "99 path=a\n"), "wrong length"],
    ["a record without a value", entry({ type: "x" }, "7 path\n"), "no KEY=VALUE"],
    ["a name with a NUL", Buffer.concat([pax("path=a\0b"), entry({})]), "NUL"],
    ["an attribute without a name", Buffer.concat([pax("SCHILY.xattr.=a"), entry({})]), "without a name"],
    ["a time that is none", Buffer.concat([pax("mtime=1e9"), entry({})]), "no time"],
    ["an owner beyond 32 bits", Buffer.concat([pax("uid=4294967295"), entry({})]), "owner 4294967295"],
    ["a link to nothing", entry({ type: "2" }), "target is empty"],
    ["sparse parts that overlap", sparse("0,2,1,2", 4, "xxxx"), "overlap"],
    ["sparse parts beyond the size", sparse("0,2,9,2", 10, "xxxx"), "do not fit"],
    ["sparse parts that are more than the data", sparse("0,2,4,3", 10, "xxxx"), "do not fit"],
    ["half a sparse part", sparse("0,2,4", 10, "xx"), "half a run"],
    [
      "sparse parts without end before the data",
      Buffer.concat([
        pax("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=1"),
        entry({}, `99999999\n${"0\n".repeat(200)}`),
      ]),
      "parts",
    ],
  ];
  function sparse(map: string, size: number, data: string): Buffer {
    return Buffer.concat([pax(`GNU.sparse.map=${map}`, `GNU.sparse.size=${size}`), entry({}, data)]);
  }
  test.each(cases)("%s", (_, archive, words) => {
    const error = refusal(archive) as Error;
    expect(error).toMatchObject({ code: "layer-invalid" });
    expect(error.message).toStartWith("the layer ");
    expect(error.message).toContain(words);
  });

  test("more entries or bytes than the limits allow", () => {
    const archive = Buffer.concat([entry({}, "abc"), entry({}, "def"), END]);
    expect(read(archive, { entries: 2, bytes: 6 })).toHaveLength(2);
    expect(() => read(archive, { entries: 1, bytes: 6 })).toThrow("the layer has more than 1 files");
    expect(() => read(archive, { entries: 2, bytes: 5 })).toThrow("more than 5 bytes together");
    expect(() => read(fixture("pax-sparse-1.0"), { entries: 9, bytes: 1 << 20 })).toThrow("bytes together");
  });

  test("any byte changed is read or refused, and nothing else happens", () => {
    for (const name of [
      "pax-sparse-1.0",
      "gnu-sparse-old",
      "gnu-pax-binary-xattrs",
      "gnu-base-256-numbers",
    ]) {
      const archive = fixture(name).subarray(0, 8192);
      for (let offset = 0; offset < 3072; offset += 7) {
        const changed = Buffer.from(archive);
        changed[offset] = (changed[offset] as number) ^ (1 << (offset % 8));
        const error = refusal(changed, { entries: 10, bytes: 2 ** 30 });
        if (error instanceof Error) expect(error).toMatchObject({ code: "layer-invalid" });
      }
    }
  });
});
