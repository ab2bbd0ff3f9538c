import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeDirectory } from "../../src/image/filesystem/directory.ts";
import { writeErofs } from "../../src/image/filesystem/erofs.ts";
import { writeExt4 } from "../../src/image/filesystem/ext4.ts";
import { readExt4 } from "../../src/image/filesystem/ext4-reader.ts";
import { writeInitrd } from "../../src/image/filesystem/initrd.ts";
import { ContentStore } from "../../src/image/layers/content.ts";
import { treeOfLayers } from "../../src/image/layers/layers.ts";
import { tarOfTree } from "../../src/image/layers/tar-writer.ts";
import { bytesOf, type Directory, plainDirectory } from "../../src/image/layers/tree.ts";
import { hostAcceleration } from "../../src/monitor/acceleration.ts";
import { hostTscKhz } from "../../src/monitor/tsc-rate.ts";
import { command, succeed } from "../harness/command.ts";
import { ensureImage } from "../harness/images.ts";
import { startRegistry } from "../harness/registry.ts";
import { type Listing, listFiles, listTree, sampleTree } from "../harness/trees.ts";

const directory = mkdtempSync(join(tmpdir(), "urunc-filesystems-"));
const store = new ContentStore(directory);
afterAll(() => {
  store.close();
  rmSync(directory, { recursive: true, force: true });
});

let tree: Directory;
let expected: Listing;
beforeAll(() => {
  tree = sampleTree(store);
  expected = listTree(tree, store);
});

/** What the kernel says of an image. */
async function listMounted(image: string, options: string): Promise<Listing> {
  const place = `${image}.mounted`;
  mkdirSync(place);
  await succeed(["mount", "-o", `loop,${options}`, image, place]);
  try {
    return await listFiles(place);
  } finally {
    await succeed(["umount", place]);
  }
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

describe("erofs", () => {
  test("the kernel reads back every file as it was", async () => {
    const image = join(directory, "a.erofs");
    writeErofs(tree, store, image);
    expect(await listMounted(image, "ro")).toEqual(expected);
  });

  test("fsck.erofs finds nothing", async () => {
    const image = join(directory, "checked.erofs");
    writeErofs(tree, store, image);
    expect(await command(["fsck.erofs", image])).toMatchObject({ exitCode: 0 });
  });
});

describe("ext4", () => {
  test("the kernel reads back every file as it was, with access control lists", async () => {
    const image = join(directory, "a.ext4");
    expect(writeExt4(tree, store, image).losses).toEqual([]);
    expect(await listMounted(image, "ro")).toEqual(expected);
  });

  test.each([
    ["a size of its own", undefined],
    // Without a journal; more than one group and a last one that is short; a group that is left out.
    ["7 MiB", 7 << 20],
    ["300 MiB", 300 << 20],
    ["128 MiB and a little", (128 << 20) + (100 << 12)],
    ["20 GiB", 20 * 2 ** 30],
  ])("fsck.ext4 finds nothing with %s", async (_, size) => {
    const image = join(directory, "sized.ext4");
    const small = new Map(
      [...tree.children].filter(([name]) => size !== 7 << 20 || !["holes", "many"].includes(name)),
    );
    writeExt4({ ...tree, children: small }, store, image, size === undefined ? {} : { size });
    expect(await command(["fsck.ext4", "-fn", image])).toMatchObject({ exitCode: 0 });
  });

  test("the kernel writes to it, and it is whole afterwards", async () => {
    const image = join(directory, "written.ext4");
    writeExt4(tree, store, image);
    const place = join(directory, "written");
    mkdirSync(place);
    await succeed(["mount", "-o", "loop", image, place]);
    try {
      await succeed([
        "sh",
        "-c",
        `cd ${place} && seq 3000 | (cd many && xargs touch) && rm -r deep holes && cp -a sizes more`,
      ]);
      await succeed(["setfattr", "-n", "user.more", "-v", "value", join(place, "attributes/large")]);
    } finally {
      await succeed(["umount", place]);
    }
    expect(await command(["fsck.ext4", "-fn", image])).toMatchObject({ exitCode: 0 });
  });

  test.each([
    ["mkfs.ext4's own", []],
    ["small blocks and large inodes", ["-b", "1024", "-I", "512"]],
    ["inodes of ext2", ["-I", "128", "-O", "^64bit,^metadata_csum"]],
  ])("what the kernel has written is read as the kernel reads it, with %s", async (_, options) => {
    const image = join(directory, "kernel.ext4");
    const place = join(directory, "kernel");
    rmSync(image, { force: true });
    await succeed(["truncate", "-s", "200M", image]);
    await succeed(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", ...options, image]);
    mkdirSync(place, { recursive: true });
    await succeed(["mount", "-o", "loop", image, place]);
    try {
      await succeed(["cp", "-a", join(import.meta.dir, "../../src"), place]);
      const script =
        "seq 20000 | sed 's/$/-a-name-that-takes-some-room/' | (mkdir many && cd many && xargs touch) && " +
        "ls many | head -15000 | (cd many && xargs rm) && ln src/main.ts again && mkfifo pipe && " +
        "mknod device c 300 70000 && ln -s $(printf %0500d 0) long && ln -s short link && chown 70000:80000 again && " +
        "truncate -s 1G hole && echo end >>hole && fallocate -l 1M unwritten && mkdir -p a/b && rmdir a/b && " +
        "setfattr -n user.a -v $(printf %0700d 0) hole && setfattr -n trusted.b -v x again && chmod 6750 again";
      await succeed(["sh", "-c", `cd ${place} && ${script}`]);
    } finally {
      await succeed(["umount", place]);
    }
    const mounted = await listMounted(image, "ro");
    expect(listTree(readExt4(image, store), store)).toEqual(mounted);
    rmSync(`${image}.mounted`, { recursive: true });
  });

  test("a size that is too small says what is needed, and that is enough", () => {
    const image = join(directory, "small.ext4");
    let sentence = "";
    try {
      writeExt4(tree, store, image, { size: 4 << 20 });
    } catch (error) {
      sentence = error instanceof Error ? error.message : "";
    }
    const [, least] = /too small: these files need ([0-9]+) MiB$/.exec(sentence) ?? [];
    expect(writeExt4(tree, store, image, { size: Number(least) << 20 }).bytes).toBe(Number(least) << 20);
  });
});

test("initrd: cpio unpacks every file as it was, but for what the format does not have", async () => {
  const archive = join(directory, "a.cpio");
  const { losses } = writeInitrd(tree, store, archive);
  expect(losses.map(({ path }) => path).sort()).toEqual(
    [
      "attributes",
      ...["acl", "bytes", "capability", "large", "link"].map((name) => `attributes/${name}`),
    ].sort(),
  );
  const place = join(directory, "unpacked");
  mkdirSync(place);
  await succeed(["sh", "-c", `cd ${place} && cpio -idmu --quiet --no-absolute-filenames < ${archive}`]);
  const coarse = (listing: Listing) =>
    Object.entries(listing).map(([path, line]) => {
      const fields = JSON.parse(line);
      const seconds = BigInt(fields.time) / 1_000_000_000n;
      // cpio sets no times of links, and those of directories before it fills them.
      const hasTime = fields.kind !== "link" && fields.kind !== "directory" && !path.startsWith("times/");
      return [path, { ...fields, time: hasTime ? String(seconds) : "", xattrs: [] }];
    });
  expect(coarse(await listFiles(place))).toEqual(coarse(expected));
});

test("rootfs: tar unpacks every file as it was", async () => {
  const place = join(directory, "rootfs");
  await writeDirectory(tree, store, place);
  expect(await listFiles(place)).toEqual(expected);
  await expect(writeDirectory(tree, store, place)).rejects.toThrow("it is not empty");
});

test("a tar of ours is read back as the same tree, compressed or not", async () => {
  const archive = Buffer.concat([...tarOfTree(tree, store)].map((part) => Buffer.from(part)));
  for (const bytes of [archive, Bun.gzipSync(archive), Bun.zstdCompressSync(archive)]) {
    const again = new ContentStore(directory);
    const read = await treeOfLayers([new Blob([bytes as Uint8Array<ArrayBuffer>]).stream()], again);
    expect(listTree(read, again)).toEqual(expected);
    again.close();
  }
});

test("the same layers give the same bytes in every form", async () => {
  const archive = Buffer.concat([...tarOfTree(tree, store)].map((part) => Buffer.from(part)));
  const hashes: string[][] = [];
  for (const name of ["first", "second"]) {
    const again = new ContentStore(directory);
    const read = await treeOfLayers([new Blob([archive]).stream()], again);
    const place = join(directory, name);
    writeErofs(read, again, `${place}.erofs`);
    writeExt4(read, again, `${place}.ext4`);
    writeInitrd(read, again, `${place}.cpio`);
    hashes.push([".erofs", ".ext4", ".cpio"].map((end) => hashOf(place + end)));
    again.close();
  }
  expect(hashes[1]).toEqual(hashes[0] as string[]);
});

describe("bunny rootfs", () => {
  const bunny = join(import.meta.dir, "../../dist/bin/bunny");
  const layer = join(directory, "layer.tar");
  const small = join(directory, "small.tar");
  beforeAll(() => {
    chmodSync(directory, 0o755);
    writeFileSync(layer, Buffer.concat([...tarOfTree(tree, store)].map((part) => Buffer.from(part))));
    const names = tree.children.get("names") as Directory;
    writeFileSync(small, Buffer.concat([...tarOfTree(names, store)].map((part) => Buffer.from(part))));
  });

  test("an image of a user without rights has the same bytes as root's, owners and devices included", async () => {
    const place = join(directory, "of-user");
    mkdirSync(place);
    chmodSync(place, 0o777);
    for (const form of ["initrd", "ext4", "erofs"]) {
      const words = ["rootfs", "--layer", layer, "--output"];
      await succeed([bunny, ...words, `${form}:${join(directory, `of-root.${form}`)}`]);
      const user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"];
      await succeed([...user, bunny, ...words, `${form}:${join(place, form)}`]);
      expect(hashOf(join(place, form))).toBe(hashOf(join(directory, `of-root.${form}`)));
    }
    const refused = await command([
      "setpriv",
      "--reuid=65534",
      "--clear-groups",
      bunny,
      "rootfs",
      "--layer",
      layer,
      "-o",
      `rootfs:${place}/r`,
    ]);
    expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
    expect(refused.stderr).toContain("unless root writes them");
  });

  test("a real image's layer is what tar unpacks of it", async () => {
    const { archive } = await ensureImage("debian");
    const real = join(directory, "debian.tar");
    await succeed(["sh", "-c", `tar -xOf ${archive} layer.tar > ${real}`]);
    const unpacked = join(directory, "debian");
    mkdirSync(unpacked);
    await succeed(["tar", "-xpf", real, "-C", unpacked, "--xattrs", "--xattrs-include=*", "--numeric-owner"]);
    const listing = await listFiles(unpacked);
    for (const form of ["ext4", "erofs"]) {
      const image = join(directory, `debian.${form}`);
      await succeed([bunny, "rootfs", "--layer", real, "-o", `${form}:${image}`]);
      expect(await listMounted(image, "ro")).toEqual(listing);
    }
    const rootfs = join(directory, "debian-rootfs");
    await succeed([bunny, "rootfs", "--layer", real, "-o", `rootfs:${rootfs}`]);
    expect(await listFiles(rootfs)).toEqual(listing);
  });

  test("an initrd says what it does not have", async () => {
    const said = await command([
      bunny,
      "rootfs",
      "--layer",
      layer,
      "-o",
      `initrd:${join(directory, "b.cpio")}`,
    ]);
    expect(said).toMatchObject({ exitCode: 0 });
    expect(said.stderr).toBe(
      'warning: without extended attributes, which this form does not have: "attributes" and 5 more\n',
    );
  });

  test("an image gives the same bytes as its layers, wherever it is", async () => {
    const { archive } = await ensureImage("busybox");
    const place = join(directory, "images");
    mkdirSync(place);
    const env = { PATH: process.env["PATH"] ?? "", HOME: place };
    const registry = await startRegistry();
    const name = `${registry.host}/test/busybox:1`;
    try {
      await succeed(["sh", "-c", `tar -xOf ${archive} layer.tar > ${place}/layer.tar`]);
      await succeed([bunny, "rootfs", "--layer", `${place}/layer.tar`, "-o", `erofs:${place}/layer`], {
        env,
      });
      await succeed([bunny, "copy", "-q", `docker-archive:${archive}`, `oci:${place}/layout:x`], { env });
      await succeed([bunny, "copy", "-q", `oci:${place}/layout:x`, `docker://${name}`], { env });
      rmSync(join(place, ".local"), { recursive: true });
      const places = [`docker-archive:${archive}`, `oci:${place}/layout:x`, `docker://${name}`, name, name];
      for (const [index, image] of places.entries()) {
        if (index === 3) expect(existsSync(join(place, ".local"))).toBe(false);
        const argv = [bunny, "rootfs", "-q", image, "-o", `erofs:${place}/${index}`];
        const said = await command(argv, { env });
        expect(said).toMatchObject({ exitCode: 0 });
        // The store had none at first, and keeps what it brings.
        const missing = image === name && index === 3;
        expect(said.stderr).toBe(missing ? `Unable to find image '${name}' locally\n` : "");
        expect(hashOf(join(place, String(index)))).toBe(hashOf(join(place, "layer")));
      }
    } finally {
      await registry.stop();
    }
  });

  test("SOURCE_DATE_EPOCH is the file system's time", async () => {
    const image = join(directory, "dated.ext4");
    const env = { ...process.env, SOURCE_DATE_EPOCH: "1234567890", TZ: "UTC" } as Record<string, string>;
    await succeed([bunny, "rootfs", "--layer", small, "-o", `ext4:${image}`, "--size", "20M"], { env });
    const said = await succeed(["dumpe2fs", "-h", image], { env });
    expect(said).toMatch(/Filesystem created: +Fri Feb 13 23:31:30 2009/);
    expect(said).toMatch(/Block count: +5120\n/);
  });

  test("a full disk is one sentence, and nothing is left", async () => {
    const place = join(directory, "tiny");
    mkdirSync(place);
    await succeed(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place]);
    try {
      const full = [
        [bunny, "rootfs", "--layer", layer, "-o", `erofs:${place}/out`],
        [bunny, "rootfs", "--layer", layer, "-o", `rootfs:${place}/out`],
        [bunny, "rootfs", "--layer", layer, "-o", `erofs:${directory}/x`, "--temporary", place],
      ];
      for (const argv of full) {
        const said = await command(argv);
        expect(said.exitCode).toBe(1);
        expect(said.stderr).toStartWith("cannot ");
        expect(said.stderr).toMatch(/no space left on device/i);
        expect(readdirSync(place)).toEqual([]);
      }
    } finally {
      await succeed(["umount", place]);
    }
  });

  test.each([
    [["--layer", "x"], "--output is FORM:PATH"],
    [["--layer", "x", "-o", "zip:x"], "--output is FORM:PATH"],
    [
      ["-o", "ext4:x"],
      "what to make it of is said with the name of an image, with --layer or with --directory",
    ],
    [["-o", "ext4:x", "--layer", "x", "image"], "what to make it of is said with"],
    [["-o", "ext4:x", `oci:${directory}`], "is no image layout"],
    [["--layer", "x", "-o", "erofs:x", "--size", "1G"], "--size is for ext4 alone"],
    [["--layer", "x", "-o", "ext4:x", "--size", "0x10"], "--size is a number"],
    [["--layer", "/missing", "-o", `ext4:${directory}/y`], "cannot read the layer /missing"],
    [
      ["--layer", "/etc/passwd", "-o", `ext4:${directory}/y`],
      "layer 1 of 1: the layer has a header with a wrong checksum: it is no tar",
    ],
    [["--layer", layer, "-o", `ext4:${directory}/y`, "--size", "64K"], "too small"],
    [["--layer", small, "-o", "ext4:/missing/y"], "cannot write /missing/y"],
  ])("%p is refused with a sentence", async (words, sentence) => {
    const said = await command([bunny, "rootfs", ...words]);
    expect(said).toMatchObject({ exitCode: 1, stdout: "" });
    expect(said.stderr).toContain(sentence);
    expect(said.stderr.trim().split("\n")).toHaveLength(1);
  });
});

describe("the guest's kernel boots", () => {
  const share = join(import.meta.dir, "../../dist/share/urunc");
  const layer = join(directory, "init.tar");
  const base = join(directory, "busybox.tar");
  beforeAll(async () => {
    const { archive } = await ensureImage("busybox");
    await succeed(["sh", "-c", `tar -xOf ${archive} layer.tar > ${base}`]);
    const plain = { ...plainDirectory(), mtime: { seconds: 0, nanoseconds: 0 } };
    const text = (bytes: string, mode: number) => {
      const position = store.position;
      store.append(Buffer.from(bytes));
      const content = { size: bytes.length, runs: [{ at: 0, position, length: bytes.length }] };
      return { ...plain, kind: "file" as const, mode, content };
    };
    const root = plainDirectory();
    const shared = { ...text("linked", 0o640), uid: 12, gid: 34 };
    root.children.set("a", shared);
    root.children.set("b", shared);
    root.children.set(bytesOf("device"), { ...plain, kind: "block", mode: 0o600, major: 259, minor: 300 });
    const lines = [
      "#!/bin/sh",
      "/bin/mount -t devtmpfs dev /dev || /bin/mknod /dev/kmsg c 1 11",
      '[ /a -ef /b ] && echo "<1>BOOTED $(/bin/stat -c "%a %u %g %h" /a) $(/bin/cat /b) $(/bin/stat -c "%F %t %T" /device)" > /dev/kmsg',
      "/bin/reboot -f",
    ];
    root.children.set("init", text(`${lines.join("\n")}\n`, 0o755));
    writeFileSync(layer, Buffer.concat([...tarOfTree(root, store)].map((part) => Buffer.from(part))));
  });

  test.each(["initrd", "ext4", "erofs"] as const)("%s", async (form) => {
    const image = join(directory, `boot.${form}`);
    const made = new ContentStore(directory);
    const layers = [base, layer].map((path) => Bun.file(path).stream());
    const root = await treeOfLayers(layers, made);
    ({ initrd: writeInitrd, ext4: writeExt4, erofs: writeErofs })[form](root, made, image);
    made.close();
    const isInitrd = form === "initrd";
    const isEmulated = hostAcceleration("detect").kind === "tcg";
    const words = [
      "console=ttyS0 reboot=t panic=-1 quiet pci=off",
      isInitrd ? "rdinit=/init" : `root=/dev/vda ro rootfstype=${form} init=/init`,
      isEmulated ? `tsc_early_khz=${hostTscKhz(directory, join(share, "urunc-standin"))} tsc=reliable` : "",
      isEmulated ? "no_timer_check lapic_timer_khz=1000000 keep_initmem" : "",
    ];
    const said = await succeed([
      ...["qemu-system-x86_64", "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none"],
      ...["-M", "microvm,acpi=on,pit=off,pic=off,rtc=on,auto-kernel-cmdline=off"],
      ...["-global", "virtio-mmio.force-legacy=false"],
      ...(isEmulated ? ["-accel", "tcg", "-cpu", "max"] : ["-accel", "kvm", "-cpu", "host"]),
      ...["-m", "256M", "-serial", "stdio", "-kernel", join(share, "vmlinux"), "-append", words.join(" ")],
      ...(isInitrd
        ? ["-initrd", image]
        : [
            ...["-drive", `if=none,id=root,format=raw,readonly=on,file=${image}`],
            ...["-device", "virtio-blk-device,drive=root"],
          ]),
    ]);
    expect(said).toContain("BOOTED 640 12 34 2 linked block special file 103 12c");
  });
});
