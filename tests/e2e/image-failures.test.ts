import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Manifest } from "../../src/image/spec/manifest.ts";
import { type CommandResult, command, succeed } from "../harness/command.ts";
import {
  type Failure,
  type Fault,
  type FaultyRegistry,
  startFaultyRegistry,
} from "../harness/faulty-registry.ts";
import { ensureImage } from "../harness/images.ts";
import { type Registry, startRegistry } from "../harness/registry.ts";
import { openScreen } from "../harness/screen.ts";

setDefaultTimeout(120_000);

const bunny = join(resolve(import.meta.dir, "../.."), "dist/bin/bunny");

let registry: Registry;
let faulty: FaultyRegistry;
let digest: string;
let layer: { digest: string; size: number };
let directory: string;

const repository = "test/debian";
const name = () => `${faulty.host}/${repository}:1`;
const store = () => join(directory, "store");
/** The requests for the layer's content. */
const asked = () => faulty.seen.filter(({ line }) => line.endsWith(layer.digest));
const blob = () => new RegExp(`^GET .*/blobs/${layer.digest}$`);
const MANIFEST = /^GET .*\/manifests\//;

function run(...args: string[]): Promise<CommandResult> {
  const env = { PATH: process.env["PATH"] ?? "", HOME: directory, TMPDIR: process.env["TMPDIR"] ?? "/tmp" };
  return command([bunny, ...args], { env });
}

const pull = () => run("pull", "--store", store(), name());

/** A pull that must fail with one sentence behind the lines for what came; gives that. */
async function refused(): Promise<string> {
  const { exitCode, stdout, stderr } = await pull();
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  const lines = stderr.trimEnd().split("\n");
  expect(lines.filter((line) => !line.startsWith("sha256:"))).toHaveLength(1);
  return lines.at(-1) ?? "";
}

async function pulled(): Promise<void> {
  const { exitCode, stdout } = await pull();
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: `${name()} ${digest}\n` });
  const kept = await succeed(["sha256sum", join(store(), "blobs/sha256", layer.digest.slice(7))]);
  expect(kept).toStartWith(layer.digest.slice(7));
}

/** What of the layer is in the store: whole, or on its way. */
const kept = () => ({
  blob: existsSync(join(store(), "blobs/sha256", layer.digest.slice(7))),
  partial: existsSync(join(store(), "ingest", layer.digest.replace(":", "-"))),
  named: existsSync(join(store(), "index.json")),
});
const NOTHING = { blob: false, partial: false, named: false };

beforeAll(async () => {
  registry = await startRegistry();
  directory = mkdtempSync(join(tmpdir(), "urunc-failures-"));
  try {
    const { archive } = await ensureImage("debian");
    const place = `docker://${registry.host}/${repository}:1`;
    const { stdout } = await run("copy", "-q", `docker-archive:${archive}`, place);
    digest = stdout.trim();
    const manifest = JSON.parse((await run("inspect", "--raw", place)).stdout) as Manifest;
    layer = manifest.layers[0] as typeof layer;
  } finally {
    rmSync(directory, { recursive: true });
  }
});
afterAll(() => registry?.stop());
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "urunc-failures-"));
  faulty = await startFaultyRegistry(registry.port);
});
afterEach(() => {
  faulty.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe("a pull goes on", () => {
  test("where its connection broke, and asks for the bytes that are missing", async () => {
    faulty.fail({ on: blob(), times: 4, kind: "cut", after: 3_000_000 });
    await pulled();
    const starts = asked().map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? "bytes=0-")?.[1]));
    expect(starts).toHaveLength(5);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(starts[4]).toBeGreaterThan(0);
    expect(asked().reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(layer.size + 12_000_000);
  });

  test("where a manifest's connection broke", async () => {
    faulty.fail({ on: MANIFEST, times: 2, kind: "cut", after: 100 });
    await pulled();
  });

  test("after answers that say that another attempt may do better", async () => {
    faulty.fail(
      { on: MANIFEST, times: 1, kind: "status", status: 500 },
      { on: MANIFEST, times: 1, kind: "status", status: 429, headers: { "retry-after": "1" } },
      { on: blob(), times: 2, kind: "status", status: 503 },
      { on: blob(), times: 1, kind: "cut", after: 1_000_000 },
      { on: blob(), times: 1, kind: "status", status: 502 },
    );
    await pulled();
    expect(asked().map(({ status }) => status)).toEqual([503, 503, 200, 502, 206]);
  });

  test("from a registry that does not know ranges", async () => {
    faulty.fail({ on: blob(), times: 1, kind: "cut", after: 1_000_000 }, { on: blob(), kind: "no-ranges" });
    await pulled();
    expect(asked().map(({ status }) => status)).toEqual([200, 200]);
  });

  test("in a later call, with what the earlier one has brought", async () => {
    faulty.fail(
      { on: blob(), times: 1, kind: "cut", after: 20_000_000 },
      { on: blob(), kind: "status", status: 403 },
    );
    expect(await refused()).toContain("does not allow it");
    expect(kept()).toEqual({ blob: false, partial: true, named: false });
    faulty.fail();
    await pulled();
    expect(asked().at(-1)?.range).toMatch(/^bytes=[1-9]\d+-$/);
    expect(asked().at(-1)?.bytes).toBeLessThan(layer.size - 10_000_000);
    expect(existsSync(join(store(), "ingest"))).toBe(false);
  });

  test("in a later call, once a disk that was full is not", async () => {
    mkdirSync(store());
    await succeed(["mount", "-t", "tmpfs", "-o", "size=8m", "none", store()]);
    try {
      expect(await refused()).toContain("no space is left where");
      expect(kept()).toMatchObject({ blob: false, named: false });
      await succeed(["mount", "-o", "remount,size=200m", store()]);
      await pulled();
    } finally {
      await succeed(["umount", store()]);
    }
  });
});

describe("one sentence says what is wrong, and the store has nothing of it", () => {
  test("where the registry fails each time", async () => {
    faulty.fail({ on: MANIFEST, kind: "status", status: 500 });
    expect(await refused()).toContain(`cannot read ${name()}: ${faulty.host} answered 500`);
    expect(faulty.seen.filter(({ status }) => status === 500)).toHaveLength(5);
    expect(kept()).toEqual(NOTHING);
  });

  test.each<[string, Failure[], string]>([
    ["a byte that is another one", [{ kind: "damaged", at: 1_000_000 }], "was damaged"],
    ["an end that always comes too early", [{ kind: "truncated", at: 0 }], "bytes before the end of"],
    [
      "content that is shorter than it should be",
      [
        { kind: "truncated", at: 1_000_000, times: 1 },
        { kind: "status", status: 416 },
      ],
      "is truncated",
    ],
    [
      "another part than was asked for",
      [{ kind: "cut", after: 500_000, times: 1 }, { kind: "other-range" }],
      "another part",
    ],
  ])("%s", async (what, failures, sentence) => {
    faulty.fail(...failures.map((failure): Fault => ({ ...failure, on: blob() })));
    expect(await refused()).toContain(sentence);
    expect({ ...kept(), partial: false }).toEqual(NOTHING);
    // What cannot become right is not continued.
    expect(kept().partial).toBe(what.startsWith("another"));
    expect((await run("prune", "--store", store())).exitCode).toBe(0);
    expect(readdirSync(store()).sort()).toEqual(["blobs", "oci-layout"]);
    expect(readdirSync(join(store(), "blobs/sha256"))).toEqual([]);
    faulty.fail();
    await pulled();
  });

  test.each([
    [{ kind: "damaged", at: 40 }, "has another content than its digest"],
    [{ kind: "truncated", at: 100 }, "has another content than its digest"],
    [{ kind: "status", status: 401 }, "wants to know who asks"],
    [{ kind: "status", status: 403 }, "does not allow it"],
    [{ kind: "status", status: 404 }, "does not have it"],
    [{ kind: "status", status: 429, headers: { "retry-after": "3600" } }, "is asked too often"],
    [{ kind: "status", status: 418 }, "answered 418"],
  ] as const)("a manifest with %j", async (fault, sentence) => {
    faulty.fail({ on: MANIFEST, ...fault });
    expect(await refused()).toContain(sentence);
    expect(kept()).toEqual(NOTHING);
  });

  test("of a root that is made without the store, of which nothing is left either", async () => {
    const out = join(directory, "out");
    mkdirSync(out);
    const rootfs = () => run("rootfs", "-o", `erofs:${join(out, "root")}`, `docker://${name()}`);
    faulty.fail({ on: blob(), kind: "damaged", at: 1_000_000 });
    const { exitCode, stdout, stderr } = await rootfs();
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(/^.* was damaged: .*\n$/);
    expect(readdirSync(out)).toEqual([]);
    faulty.fail({ on: blob(), times: 3, kind: "cut", after: 1_000_000 });
    expect(await rootfs()).toMatchObject({ exitCode: 0, stderr: "" });
    expect(readdirSync(out)).toEqual(["root"]);
  });
});

describe("progress", () => {
  test("is a bar for each blob on a terminal, which is gone in the end", async () => {
    const environment = [`HOME=${directory}`, `PATH=${process.env["PATH"]}`];
    const argv = ["env", "-i", ...environment, bunny, "pull", "--store", store(), name()];
    const screen = openScreen(argv, { rows: 24, columns: 100 });
    await screen.see(`${layer.digest.slice(7, 19)} [-`);
    await screen.see(/\[#+-*\] [0-9.]+ [kM]B of 61.\d MB/);
    await screen.see(`${layer.digest.slice(7, 19)} 61.5 MB copied`);
    expect(await screen.exited).toBe(0);
    await screen.see(`\x1b[2A\x1b[J${name()} ${digest}`);
  });

  test("is a line for each blob elsewhere, and none where nobody wants it", async () => {
    const { stderr } = await pull();
    const lines = stderr.trimEnd().split("\n");
    expect(lines).toHaveLength(2);
    expect(lines).toContain(`${layer.digest.slice(0, 19)} 61.5 MB copied`);
    const again = await pull();
    expect(again.stderr.trimEnd().split("\n")).toContain(
      `${layer.digest.slice(0, 19)} 61.5 MB already there`,
    );
    expect((await run("pull", "-q", "--store", join(directory, "other"), name())).stderr).toBe("");
  });
});
