import { afterEach, beforeEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DEFAULT_CONFIG } from "../config/config.ts";
import { type ImageRoot, makeImageRoot } from "./automatic.ts";
import { findRootLayers } from "./root-layers.ts";
import { fileSystemIn } from "./superblock.ts";

const isRoot = process.getuid?.() === 0;
const rootTest = test.skipIf(!isRoot);

let directory: string;
let mounted: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-automatic-"));
  mounted = [];
});
afterEach(() => {
  for (const path of mounted.reverse()) run("umount", path);
  rmSync(directory, { recursive: true });
});

function run(...argv: string[]): void {
  const { status, stderr } = spawnSync(argv[0] as string, argv.slice(1), {
    encoding: "utf8",
    cwd: directory,
  });
  if (status !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
}

/** A layer as Docker's overlay2 keeps it, with a short name of its own. */
function layer(name: string, files: Record<string, string> = {}): string {
  const path = join(directory, "overlay2", name, "diff");
  mkdirSync(path, { recursive: true });
  writeFileSync(join(dirname(path), "link"), name.toUpperCase());
  mkdirSync(join(directory, "overlay2/l"), { recursive: true });
  symlinkSync(`../${name}/diff`, join(directory, "overlay2/l", name.toUpperCase()));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), text);
  }
  return path;
}

/** A container's root over layers, the topmost first, mounted as Docker mounts it where there are many. */
function container(name: string, lower: readonly string[]): string {
  const home = join(directory, "overlay2");
  const merged = join(home, name, "merged");
  layer(name);
  mkdirSync(merged);
  mkdirSync(join(home, name, "work"));
  const options = `lowerdir=${lower.map((one) => `l/${one}`).join(":")},upperdir=${name}/diff,workdir=${name}/work`;
  run("sh", "-c", `cd "${home}" && mount -t overlay overlay -o ${options} ${name}/merged`);
  mounted.push(merged);
  return merged;
}

async function make(
  rootfs: string,
  { persist = false, type = "erofs" }: { persist?: boolean; type?: "erofs" | "ext4" } = {},
): Promise<{ made: ImageRoot; logged: string[] }> {
  const logged: string[] = [];
  const owner = join(directory, "state", `of${rootfs.replaceAll("/", "-")}`);
  mkdirSync(owner, { recursive: true });
  const made = await makeImageRoot({
    wanted: { kind: "image", type, persist },
    rootfs,
    owner,
    config: { ...DEFAULT_CONFIG.rootfs, directory: join(directory, "rootfs"), persistMiB: 64 },
    log: (sentence) => logged.push(sentence),
  });
  return { made, logged };
}

function overlayOf({ root }: ImageRoot) {
  if (root.kind !== "overlay") throw new Error(`a root of the kind ${root.kind}`);
  return root;
}

/** The files of an image, as the kernel of this host reads it. */
function filesOf(image: string, type: string): string[] {
  const place = join(directory, "seen");
  mkdirSync(place, { recursive: true });
  run("mount", "-t", type, "-o", "loop,ro", image, place);
  try {
    return readdirSync(place, { recursive: true, encoding: "utf8" }).sort();
  } finally {
    run("umount", place);
  }
}

rootTest("layers of an image are one file for all containers, and their own are beside it", async () => {
  layer("base", { "etc/passwd": "root", "etc/gone": "x", "srv/old": "x" });
  const top = layer("top", { "srv/new": "y" });
  run("mknod", join(top, "gone"), "c", "0", "0");
  layer("one-init", { ".dockerenv": "", "etc/hosts": "" });
  layer("two-init", { ".dockerenv": "", "etc/hosts": "" });
  const one = container("one", ["ONE-INIT", "TOP", "BASE"]);
  const two = container("two", ["TWO-INIT", "TOP", "BASE"]);
  writeFileSync(join(one, "copied"), "into it");
  rmSync(join(one, "etc/gone"));
  const [first, second] = [await make(one), await make(two)];
  expect(first.logged).toEqual([expect.stringMatching(/^an image of 2 layers was made in .* s: /)]);
  expect(second.logged).toEqual([]);
  const [a, b] = [overlayOf(first.made), overlayOf(second.made)];
  expect(a.lower.path).not.toBe(b.lower.path);
  expect(statSync(a.lower.path).ino).toBe(statSync(b.lower.path).ino);
  expect(fileSystemIn(a.lower.path)).toBe("erofs");
  expect(fileSystemIn(a.layer?.path as string)).toBe("erofs");
  // Names are in the image as they are.
  const own = readFileSync(a.layer?.path as string);
  for (const name of ["copied", "gone", ".dockerenv"]) expect(own.includes(name)).toBe(true);
  expect(own.includes("passwd")).toBe(false);
  first.made.images.settle();
  second.made.images.settle();
});

rootTest("an image has what the overlay shows", async () => {
  layer("base", { "etc/passwd": "root", "dir/hidden": "x", "kept/a": "a" });
  const top = layer("top", { "kept/b": "b", "dir/seen": "y" });
  run("setfattr", "-n", "trusted.overlay.opaque", "-v", "y", join(top, "dir"));
  run("mknod", join(top, "etc"), "c", "0", "0");
  const rootfs = container("one", ["TOP", "BASE"]);
  const { made } = await make(rootfs, { type: "ext4" });
  const { lower, layer: own } = overlayOf(made);
  expect(filesOf(lower.path, "ext4")).toEqual(["dir", "dir/seen", "kept", "kept/a", "kept/b"]);
  // Nothing is the container's own.
  expect(own).toBeUndefined();
  made.images.settle();
});

rootTest("a layer of the same name that is another one is another image", async () => {
  layer("base", { a: "a" });
  const top = layer("top", { b: "b" });
  const before = findRootLayers(container("one", ["TOP", "BASE"]));
  run("umount", mounted.pop() as string);
  rmSync(top, { recursive: true });
  mkdirSync(top);
  writeFileSync(join(top, "b"), "c");
  const after = findRootLayers(container("two", ["TOP", "BASE"]));
  if (before.kind !== "layers" || after.kind !== "layers") throw new Error("no layers");
  expect(after.image).toEqual(before.image);
  expect(after.identity).not.toBe(before.identity);
});

rootTest(
  "what is no overlay, or whose layers nobody keeps, is an image for its container alone",
  async () => {
    const plain = join(directory, "plain");
    mkdirSync(plain);
    writeFileSync(join(plain, "file"), "x");
    chownSync(join(plain, "file"), 7, 8);
    const { made, logged } = await make(plain);
    expect(logged[0]).toContain("for this container alone, as it is no overlay");
    expect(fileSystemIn(overlayOf(made).lower.path)).toBe("erofs");
    expect(existsSync(join(directory, "rootfs/images"))).toBe(false);
    made.images.remove();
    expect(readdirSync(join(directory, "rootfs/containers"))).toEqual([]);
    layer("base", { a: "a" });
    const rootfs = container("one", ["BASE"]);
    rmSync(join(directory, "overlay2/base/link"));
    expect((await make(rootfs)).logged[0]).toContain("is no image store's");
  },
);

rootTest("what stays is beside the container's changes, and is made once", async () => {
  layer("base", { a: "a" });
  const rootfs = container("one", ["BASE"]);
  const { made } = await make(rootfs, { persist: true });
  const changes = join(directory, "overlay2/one/urunc-changes.ext4");
  expect(overlayOf(made).upper).toEqual({ kind: "file", path: changes });
  expect(statSync(changes).size).toBe(64 * 2 ** 20);
  const { ino } = statSync(changes);
  made.images.remove();
  (await make(rootfs, { persist: true })).made.images.remove();
  expect(statSync(changes).ino).toBe(ino);
  const plain = join(directory, "plain");
  mkdirSync(plain);
  await expect(make(plain, { persist: true })).rejects.toThrow('rootfs.changes is "persist"');
});

rootTest("images go with the container, and those of containers that are gone with the next", async () => {
  const [plain, another] = [join(directory, "plain"), join(directory, "another")];
  mkdirSync(plain);
  mkdirSync(another);
  const { made } = await make(plain);
  made.images.settle();
  rmSync(join(directory, "state"), { recursive: true });
  const other = await make(another);
  expect(existsSync(made.images.path)).toBe(false);
  expect(existsSync(other.made.images.path)).toBe(true);
  other.made.images.settle();
});

rootTest("another file system in the root is refused: an image would lack it", async () => {
  const plain = join(directory, "plain");
  mkdirSync(join(plain, "inside"), { recursive: true });
  run("mount", "-t", "tmpfs", "tmpfs", join(plain, "inside"));
  mounted.push(join(plain, "inside"));
  await expect(make(plain)).rejects.toThrow(`has another mounted in it at ${join(plain, "inside")}`);
});
