import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Content, ContentStore } from "./content.ts";
import { treeOfDirectory } from "./directory-reader.ts";
import { treeOfLayers } from "./layers.ts";
import { tarOfTree } from "./tar-writer.ts";
import { type Directory, placesOf, type RegularFile } from "./tree.ts";

let directory: string;
let store: ContentStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bunny-directory-"));
  store = new ContentStore(tmpdir());
});
afterEach(() => {
  store.close();
  rmSync(directory, { recursive: true });
});

const at = (path: string) => join(directory, path);
const bytes = (path: string, name: number[]) =>
  Buffer.concat([Buffer.from(`${at(path)}/`), Buffer.from(name)]);

function fill(): void {
  mkdirSync(at("etc/empty"), { recursive: true });
  chmodSync(at("etc/empty"), 0o1777);
  writeFileSync(at("etc/file"), "content");
  writeFileSync(at("etc/large"), Buffer.alloc(3 << 20, "x"));
  linkSync(at("etc/file"), at("same"));
  symlinkSync("../etc/file", at("link"));
  writeFileSync(bytes("etc", [0xff, 0x61]), "");
  lutimesSync(at("link"), 1.5, 1.5);
  lutimesSync(at("etc"), -2.25, -2.25);
  const made = Bun.spawnSync(["sh", "-c", "mkfifo fifo && setfattr -n user.note -v 0x00ff0a etc/file"], {
    cwd: directory,
  });
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  if (process.getuid?.() !== 0) return;
  const asRoot = Bun.spawnSync(
    [
      "sh",
      "-c",
      "mknod disk b 259 70000 && mknod null c 1 3 && chown 7:70000 etc/large && chmod 4755 etc/large",
    ],
    { cwd: directory },
  );
  if (asRoot.exitCode !== 0) throw new Error(asRoot.stderr.toString());
}

/** What GNU tar reads from the directory is what we read. */
test("a directory is the tree that an archive of it is", async () => {
  fill();
  const tar = ["tar", "--create", "--format=posix", "--xattrs", "--xattrs-include=*", "--numeric-owner", "."];
  const archive = Bun.spawn(tar, { cwd: directory, stdout: "pipe" });
  const other = await treeOfLayers([archive.stdout as unknown as AsyncIterable<Uint8Array>], store);
  const ours = treeOfDirectory(directory, store);
  const archived = (tree: Directory) =>
    Buffer.concat([...tarOfTree(tree, store)].map((part) => Buffer.from(part)));
  expect(placesOf(ours).map(({ path }) => path)).toEqual(placesOf(other).map(({ path }) => path));
  expect(archived(ours).equals(archived(other))).toBe(true);
  expect(placesOf(ours).filter(({ links, inode }) => links === 2 && inode.kind === "file")).toHaveLength(2);
});

test("a socket is left out", async () => {
  const server = createServer().listen(at("socket"));
  await new Promise((listening) => server.on("listening", listening));
  writeFileSync(at("file"), "");
  expect([...treeOfDirectory(directory, store).children.keys()]).toEqual(["file"]);
  server.close();
});

test("what is no directory, or is not there, is said with its name", () => {
  writeFileSync(at("file"), "");
  expect(() => treeOfDirectory(at("file"), store)).toThrow(`cannot read "${at("file")}": it is no directory`);
  expect(() => treeOfDirectory(at("none"), store)).toThrow(`cannot read "${at("none")}": ENOENT`);
});

test("files can be left out, and what they have be kept later", () => {
  mkdirSync(at("only/within/deep"), { recursive: true });
  mkdirSync(at("empty/within"), { recursive: true });
  mkdirSync(at("out"));
  for (const name of ["only/within/deep/wanted", "empty/within/not", "out/not"])
    writeFileSync(at(name), name);
  const asked: string[] = [];
  const keeps = new Map<RegularFile, () => Content>();
  const found = treeOfDirectory(directory, store, {
    wants(path, isDirectory) {
      asked.push(path);
      if (path === "out" || path.endsWith("not")) return "no";
      return isDirectory ? "within" : "yes";
    },
    later: (file, keep) => void keeps.set(file, keep),
    attributes: false,
  });
  expect(asked).not.toContain("out/not");
  expect(placesOf(found).map(({ path }) => path)).toEqual([
    "",
    "only",
    "only/within",
    "only/within/deep",
    "only/within/deep/wanted",
  ]);
  const [[file, keep] = []] = keeps;
  expect(file?.content).toEqual({ size: 23, runs: [] });
  expect(Buffer.concat([...store.readAll(keep?.() as Content)]).toString()).toBe("only/within/deep/wanted");
  writeFileSync(at("only/within/deep/wanted"), "changed");
  expect(keep).toThrow("it changed while it was read");
});
