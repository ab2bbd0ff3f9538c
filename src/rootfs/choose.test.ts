import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { missingForAgent } from "./agent-kernel.ts";
import { applicationWords } from "./application.ts";
import { type Circumstances, chooseGuest } from "./choose.ts";
import type { ImageFiles } from "./image-files.ts";
import type { FoundSnapshot, Snapshot } from "./snapshot.ts";
import type { ImageWish } from "./wish.ts";

const LINUX: ImageWish = { type: "linux", kernel: "/.boot/kernel", mountRootfs: true };
const KERNEL = { path: "/r/.boot/kernel", isOurs: false, isElf: true };

const choose = (change: Partial<Circumstances>) =>
  chooseGuest({ readOnly: false, share: "virtiofs", hasBinds: false, ...change });

/** A configuration with everything, as `kernel/*.config` ask for it. */
const CONFIG = [..."10-machine 20-virtio 30-file-systems 40-processes 50-network".split(" ")]
  .map((name) => readFileSync(join(import.meta.dir, `../../kernel/${name}.config`), "utf8"))
  .join("\n");

test("an image that brings nothing shares its root", () => {
  expect(choose({})).toMatchObject({ protocol: "agent", way: { root: { kind: "share" } } });
});

test("what the caller gives goes before what the image brings", () => {
  const given = { kind: "overlay", lower: { path: "/f", type: "erofs" }, upper: { kind: "tmpfs" } } as const;
  expect(choose({ given, wish: LINUX }).way).toEqual({ root: given });
  expect(choose({ given }).way).toEqual({ root: given });
});

test("beside a root that the caller gives, the image's kernel and volume are used", () => {
  const upper = { kind: "file", path: "/u" } as const;
  const given = { kind: "overlay", lower: { path: "/f", type: "erofs" }, upper } as const;
  const wish: ImageWish = { type: "linux", mountRootfs: false, block: { path: "/b", mountPoint: "/data" } };
  const block = { path: "/r/b", type: "ext4", writable: true } as const;
  const volume = { path: "/r/b", type: "ext4", mountPoint: "/data" } as const;
  expect(choose({ given, wish, files: { block } }).way).toEqual({ root: given, volume });
  const known = { ...KERNEL, config: CONFIG };
  expect(choose({ given, wish: LINUX, files: { kernel: known } }).way).toEqual({
    root: given,
    kernel: KERNEL.path,
  });
  const without = { ...KERNEL, config: CONFIG.replace("CONFIG_EXT4_FS=y", "") };
  expect(() => choose({ given, wish: LINUX, files: { kernel: without } })).toThrow("lacks CONFIG_EXT4_FS");
  expect(() => choose({ given, wish: { ...LINUX, type: "unikraft" } })).toThrow('the type "unikraft"');
});

test("a unikernel is booted by its own kernel alone, with its initrd if it has one", () => {
  const wish: ImageWish = { ...{ type: "unikraft", mountRootfs: false }, kernel: "/k", commandLine: "x" };
  const unikernel = { type: "unikraft", commandLine: "x" } as const;
  const way = { kernel: KERNEL.path, direct: true, unikernel } as const;
  expect(choose({ wish, files: { kernel: KERNEL } })).toMatchObject({
    protocol: "direct",
    way: { ...way, root: { kind: "none" } },
  });
  const initrd = { path: "/r/i", isPlain: false };
  expect(choose({ wish, files: { kernel: KERNEL, initrd } }).way).toEqual({
    ...way,
    root: { kind: "initrd", path: "/r/i" },
  });
  expect(() => choose({ wish: { ...wish, type: "rumprun" }, files: { kernel: KERNEL } })).toThrow(
    "only linux, unikraft and mewz can be run",
  );
});

test("a kernel of ours is booted from where ours is", () => {
  const choice = choose({ wish: LINUX, files: { kernel: { ...KERNEL, isOurs: true } } });
  expect(choice).toMatchObject({ protocol: "agent", way: { root: { kind: "share" } } });
  expect(choice.way.kernel).toBeUndefined();
});

test("a kernel whose configuration has what the agent needs is booted with it", () => {
  expect(missingForAgent(CONFIG, { root: "overlay", disks: ["erofs", "ext4"], share: "9p" })).toEqual([]);
  const choice = choose({ wish: LINUX, files: { kernel: { ...KERNEL, config: CONFIG } } });
  expect(choice).toMatchObject({ protocol: "agent", way: { kernel: KERNEL.path } });
});

test("any other kernel is booted the direct way, and the reason says why", () => {
  const protocolAndReason = (kernel: ImageFiles["kernel"]) => {
    const { protocol, reasons } = choose({ wish: LINUX, files: { ...(kernel ? { kernel } : {}) } });
    return [protocol, reasons.at(-1)];
  };
  expect(protocolAndReason(KERNEL)).toEqual([
    "direct",
    "the image's kernel is not known: no configuration stands beside it",
  ]);
  expect(protocolAndReason({ ...KERNEL, isElf: false, config: CONFIG })).toEqual([
    "direct",
    "the image's kernel is compressed",
  ]);
  const without = CONFIG.replace("CONFIG_VIRTIO_FS=y", "CONFIG_VIRTIO_FS=m").replace("CONFIG_MEMCG=y", "");
  expect(protocolAndReason({ ...KERNEL, config: without })).toEqual([
    "direct",
    "the image's kernel lacks CONFIG_MEMCG, CONFIG_VIRTIO_FS",
  ]);
});

test("a root that the caller gives needs the agent", () => {
  const given = { kind: "overlay", lower: { path: "/f", type: "erofs" }, upper: { kind: "tmpfs" } } as const;
  expect(() => choose({ given, wish: LINUX, files: { kernel: KERNEL } })).toThrow(
    "no kernel mounts without the agent, and the image's kernel is not known",
  );
});

test("an image may ask for one way", () => {
  const files = { kernel: { ...KERNEL, config: CONFIG } };
  const direct = choose({ wish: { ...LINUX, boot: "direct" }, files });
  expect(direct).toMatchObject({ protocol: "direct", way: { direct: true, kernel: KERNEL.path } });
  const ours = choose({ wish: { ...LINUX, boot: "direct" }, files: { kernel: { ...KERNEL, isOurs: true } } });
  expect(ours.way).toEqual({ root: { kind: "share" }, direct: true });
  expect(choose({ wish: { ...LINUX, boot: "agent" }, files }).protocol).toBe("agent");
  expect(() => choose({ wish: { ...LINUX, boot: "agent" }, files: { kernel: KERNEL } })).toThrow(
    "asks for the agent",
  );
});

test("an initrd that is compressed is for the kernel of the image to unpack", () => {
  const wish: ImageWish = { ...LINUX, mountRootfs: false, initrd: "/i" };
  const initrd = { path: "/r/i", isPlain: false };
  const choice = choose({ wish, files: { initrd, kernel: { ...KERNEL, config: CONFIG } } });
  expect(choice).toMatchObject({
    protocol: "direct",
    reasons: [expect.anything(), expect.stringContaining("initrd")],
  });
});

test("a block image is the root and is written to; with a read-only root it is not", () => {
  const wish: ImageWish = { ...LINUX, mountRootfs: false, block: { path: "/b", mountPoint: "/" } };
  const block = { path: "/r/b", type: "ext4", writable: true } as const;
  expect(choose({ wish, files: { block } }).way).toEqual({ root: { kind: "disk", path: "/r/b" } });
  const overlay = {
    kind: "overlay",
    lower: { path: "/r/b", type: "ext4" },
    upper: { kind: "tmpfs" },
  } as const;
  expect(choose({ wish, files: { block }, readOnly: true }).way).toEqual({ root: overlay });
  expect(choose({ wish, files: { block: { ...block, type: "erofs" } } }).way.root.kind).toBe("overlay");
  const others = { ...block, writable: false };
  expect(() => choose({ wish, files: { block: others } })).toThrow("cannot be written by the monitor");
  expect(choose({ wish, files: { block: others }, readOnly: true }).way.root.kind).toBe("overlay");
  expect(() => choose({ wish, files: { block: { ...block, type: undefined } } })).toThrow("no file system");
});

test("a block image with another place is a volume", () => {
  const wish: ImageWish = { ...LINUX, block: { path: "/b", mountPoint: "/data" } };
  const block = { path: "/r/b", type: "ext4", writable: true } as const;
  expect(choose({ wish, files: { block } }).way).toEqual({
    root: { kind: "share" },
    volume: { path: "/r/b", type: "ext4", mountPoint: "/data" },
  });
});

test("an initrd is the root, as it is", () => {
  const wish: ImageWish = { ...LINUX, mountRootfs: false, initrd: "/i" };
  expect(choose({ wish, files: { initrd: { path: "/r/i", isPlain: true } } }).way).toEqual({
    root: { kind: "initrd", path: "/r/i" },
  });
  expect(() => choose({ wish, files: { initrd: { path: "/r/i", isPlain: false } } })).toThrow("gunzip");
});

const WANTED = { way: "image", format: "erofs", changes: "memory" } as const;

test("of the container's own root an image is made where one is wanted, and nothing else is the root", () => {
  const choice = choose({ own: WANTED });
  expect(choice.way).toEqual({ root: { kind: "image", type: "erofs", persist: false } });
  expect(choice.reasons).toEqual(['rootfs.way is "image"']);
  expect(choose({ own: { way: "image", format: "ext4", changes: "persist" }, wish: LINUX }).way.root).toEqual(
    {
      kind: "image",
      type: "ext4",
      persist: true,
    },
  );
  expect(choose({ own: { ...WANTED, way: "share" } }).way.root).toEqual({ kind: "share" });
  const wish: ImageWish = { ...LINUX, mountRootfs: false, initrd: "/i" };
  const initrd = { path: "/r/i", isPlain: true };
  expect(choose({ own: WANTED, wish, files: { initrd } }).way.root.kind).toBe("initrd");
});

test("a monitor that shares no files has an image of the root", () => {
  const own = { ...WANTED, way: "share" } as const;
  const { way, reasons } = choose({ own, share: "initramfs" });
  expect(way.root.kind).toBe("image");
  expect(reasons).toEqual(["the monitor shares no files"]);
});

test("an image of the root takes the agent", () => {
  const files = { kernel: { ...KERNEL, config: CONFIG } };
  expect(choose({ own: WANTED, wish: LINUX, files })).toMatchObject({
    protocol: "agent",
    way: { root: { kind: "image" }, kernel: KERNEL.path },
  });
  const without = { kernel: { ...KERNEL, config: CONFIG.replace("CONFIG_EROFS_FS=y", "") } };
  const shared = choose({ own: WANTED, wish: LINUX, files: without });
  expect(shared).toMatchObject({ protocol: "direct", way: { root: { kind: "share" }, direct: true } });
  expect(shared.reasons).toEqual([
    "an image of it takes the agent",
    "the image's kernel lacks CONFIG_EROFS_FS",
  ]);
  expect(() => choose({ share: "initramfs", wish: LINUX, files: without })).toThrow(
    "the monitor shares no files",
  );
});

test("another guest than Linux is refused", () => {
  expect(() => choose({ wish: { ...LINUX, type: "unikraft" } })).toThrow('the type "unikraft"');
});

test("a monitor that shares no files has what an image brings as its root, with any kernel that needs no share", () => {
  const share = "initramfs";
  const wish: ImageWish = { type: "linux", mountRootfs: false, initrd: "/i" };
  const initrd = { path: "/r/i", isPlain: true };
  expect(choose({ share, wish, files: { initrd } }).way.root).toEqual({ kind: "initrd", path: "/r/i" });
  const known = { ...KERNEL, config: CONFIG.replaceAll(/^CONFIG_(9P_FS|FUSE_FS)=y$/gm, "") };
  const files = { initrd, kernel: known };
  expect(choose({ share, wish: { ...wish, kernel: "/k" }, files, hasBinds: true }).protocol).toBe("agent");
});

test("an image's own init is left out, and what was split at blanks is joined", () => {
  const words = (text: string) => applicationWords(text.split(" "));
  expect(words("/bin/urunit a")).toEqual(["/bin/urunit", "a"]);
  expect(words("/app 'a b'")).toEqual(["/app", "'a", "b'"]);
  expect(words("/urunit /usr/sbin/nginx -g 'daemon off;error_log stderr debug;' -q")).toEqual([
    ...["/usr/sbin/nginx", "-g", "daemon off;error_log stderr debug;", "-q"],
  ]);
  expect(words("/urunit echo \"a 'b' c\" d")).toEqual(["echo", "a 'b' c", "d"]);
  expect(words("/urunit echo 'one' ' x '")).toEqual(["echo", "one", " x "]);
  // Without an end it is a word as any other.
  expect(words("/urunit echo it's 'tis so")).toEqual(["echo", "it's", "'tis", "so"]);
  expect(applicationWords(["/urunit", "sh", "-c", "'a' 'b'", ""])).toEqual(["sh", "-c", "'a' 'b'", ""]);
  expect(() => applicationWords(["/urunit"])).toThrow("/urunit alone");
});

const SNAPSHOT: Snapshot = {
  ...{ device: "/dev/dm-3", major: 253, minor: 3, type: "ext4", readOnly: false },
  mount: { point: "/b/rootfs", type: "ext4", options: ["rw"] },
};
const FOUND: FoundSnapshot = { kind: "found", snapshot: SNAPSHOT };

test("the container's own root is a disk where one is wanted and it is one", () => {
  const choice = choose({ snapshot: FOUND });
  expect(choice.way).toEqual({ root: { kind: "disk", path: "/dev/dm-3" }, snapshot: SNAPSHOT });
  expect(choice.reasons).toEqual(["the container's own root is a block device, which the guest gets"]);
  const kernel = { ...KERNEL, config: CONFIG };
  expect(choose({ snapshot: FOUND, wish: LINUX, files: { kernel } })).toMatchObject({
    protocol: "agent",
    way: { root: { kind: "disk" }, snapshot: SNAPSHOT, kernel: KERNEL.path },
  });
  const none = choose({ snapshot: { kind: "none", why: "it is not" }, wish: LINUX });
  expect(none.way).toEqual({ root: { kind: "share" } });
  expect(none.reasons[0]).toBe("the container's own root is the guest's, and it is not");
});

test("a disk that is not written to has memory above it", () => {
  const overlay = { kind: "overlay", lower: { path: "/dev/dm-3", type: "ext4" }, upper: { kind: "tmpfs" } };
  for (const circumstances of [
    { snapshot: FOUND, readOnly: true },
    { snapshot: { kind: "found", snapshot: { ...SNAPSHOT, readOnly: true } } } as const,
  ])
    expect(choose(circumstances).way).toMatchObject({ root: overlay });
});

test("a root that is a disk goes behind those that the image brings, and cannot hold the image's volume", () => {
  const initrd = { path: "/r/initrd", isPlain: true };
  const wish: ImageWish = { type: "linux", mountRootfs: false, asksForDisk: true };
  expect(choose({ snapshot: FOUND, wish: { ...wish, initrd: "/initrd" }, files: { initrd } }).way).toEqual({
    root: { kind: "initrd", path: "/r/initrd" },
  });
  const block = { path: "/r/b", type: "ext4", writable: true } as const;
  const { way, reasons } = choose({
    ...{ snapshot: FOUND, wish: { ...wish, block: { path: "/b", mountPoint: "/data" } }, files: { block } },
  });
  expect(way.root).toEqual({ kind: "share" });
  expect(reasons[0]).toContain("a file of it");
});

test("a kernel without virtio on PCI has a microvm, where it is booted without the agent", () => {
  const config = CONFIG.replace("CONFIG_VIRTIO_PCI=y", "").replace("CONFIG_PID_NS=y", "");
  const { way, reasons } = choose({ wish: LINUX, files: { kernel: { ...KERNEL, config } } });
  expect(way).toMatchObject({ direct: true, mmio: true });
  expect(reasons.at(-1)).toBe(
    "the image's kernel lacks CONFIG_PID_NS; on a microvm, as it has no virtio on PCI",
  );
});
