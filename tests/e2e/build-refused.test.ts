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
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { BUILTIN, BUNNY, BuildPlace, SHARE, START } from "../harness/build-place.ts";
import { succeed, until } from "../harness/command.ts";

setDefaultTimeout(180_000);

let place: BuildPlace;

beforeAll(async () => {
  place = await BuildPlace.open();
}, 600_000);
afterAll(async () => {
  await place?.close();
});
beforeEach(() => place.begin());
afterEach(() => place.end());

describe("what cannot be built is said with its place, and leaves nothing", () => {
  test.each<[string, string, string]>([
    [
      "a kernel that is missing",
      `${START}kernel: {from: local, path: none}\n`,
      "3:29: there is no none in the build's context",
    ],
    [
      "a kernel that is a directory",
      `${START}kernel: {from: local, path: sub}\n`,
      "3:29: sub is a directory",
    ],
    [
      "a text as a kernel",
      `${START}kernel: {from: local, path: text}\n`,
      "3:29: text is no kernel for this image: it is neither",
    ],
    [
      "a program as a kernel",
      `${START}kernel: {from: local, path: program}\n`,
      "3:29: program is no kernel for this image: it is an ELF file, but a program",
    ],
    [
      "a compressed kernel",
      `${START}kernel: {from: local, path: kernel.gz}\n`,
      "3:29: kernel.gz is no kernel for this image: it is compressed with gzip",
    ],
    [
      "a link out of the context",
      `${START}kernel: {from: local, path: outside}\n`,
      "3:29: outside is a link that leads out of the build's context",
    ],
    ["a kernel's image that is missing", `${START}kernel: {from: REGISTRY/none, path: /k}\n`, "3:16: "],
    [
      "a path that the kernel's image lacks",
      `${START}kernel: {from: BUSYBOX, path: /k}\n`,
      "there is no /k in",
    ],
    [
      "a configuration that is missing",
      `${START}kernel: {from: local, path: vmlinux, config: none}\n`,
      "3:46: there is no none",
    ],
    ["a base that is missing", `${BUILTIN}rootfs: {from: REGISTRY/none}\n`, "4:16: "],
    ["an include that is missing", `${BUILTIN}rootfs: {include: [none:/x]}\n`, "4:20: there is no none"],
    [
      "an include's path that is missing",
      `${BUILTIN}rootfs: {include: [{from: BUSYBOX, source: /none, destination: /x}]}\n`,
      "there is no /none in",
    ],
    [
      "a file in a directory's place",
      `${BUILTIN}rootfs: {from: BUSYBOX, include: [sub:/bin/sh/x]}\n`,
      "what is on its way is no directory",
    ],
    [
      "a directory in a file's place",
      `${BUILTIN}rootfs: {from: BUSYBOX, include: [more:/etc]}\n`,
      '"/etc/passwd" is a file of the image, and a directory is to be put there',
    ],
    [
      "an initrd that is none",
      `${BUILTIN}rootfs: {from: local, path: text, type: initrd}\n`,
      "4:29: text is no initrd",
    ],
    [
      "a block image that is none",
      `${BUILTIN}rootfs: {from: local, path: text, type: block}\n`,
      "4:29: text is no block image",
    ],
    [
      "includes in what is no ext4",
      `${BUILTIN}rootfs: {from: local, path: zeros, type: block, include: [text]}\n`,
      "4:29: zeros is no ext2, ext3 or ext4",
    ],
    [
      "includes in a broken initrd",
      `${BUILTIN}rootfs: {from: local, path: cut.cpio, type: initrd, include: [text]}\n`,
      "4:29: cut.cpio cannot be added to: the initrd cannot be read: it is cut off",
    ],
    [
      "a block image that is too small",
      `${BUILTIN}rootfs: {from: BUSYBOX, type: block, size: 1M}\n`,
      "too small: these files need",
    ],
    [
      "a key that is unknown",
      `${BUILTIN}rootfs: {form: scratch}\n`,
      '4:10: the key "form" is not known: is from meant?',
    ],
  ])("%s", async (_, file, sentence) => {
    place.write("sub/x", "");
    place.write("more/passwd/x", "");
    place.write("text", "this is a text\n");
    place.write("zeros", new Uint8Array(4096));
    place.write("program", readFileSync(join(SHARE, "urunit")));
    place.write("kernel.gz", gzipSync("x"));
    place.write("cut.cpio", "070701");
    symlinkSync(join(SHARE, "vmlinux"), join(place.context, "outside"));
    cpSync(join(SHARE, "vmlinux"), join(place.context, "vmlinux"));
    place.write(
      "bunnyfile",
      file.replace("BUSYBOX", `"${place.busybox}"`).replace("REGISTRY/none", `"${place.registry.host}/none"`),
    );
    const { exitCode, stdout, stderr } = await place.run([
      "build",
      "--store",
      place.store,
      "-q",
      "-t",
      "local/bad:1",
      place.context,
    ]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr.trimEnd().split("\n").length).toBe(1);
    expect(stderr).toStartWith(`${place.context}/bunnyfile:`);
    expect(stderr).toContain(sentence);
    expect((await place.run(["images", "--store", place.store])).stdout).not.toContain("bad");
    place.expectTidy();
  });

  test.each<[string, readonly string[], string]>([
    [
      "no build file",
      ["context"],
      "has no bunnyfile, Containerfile, Dockerfile: name the build file with --file",
    ],
    ["a build file that is missing", ["-f", "none", "context"], "cannot read the build file none: ENOENT"],
    ["a context that is missing", ["none"], "cannot read the build's context none: ENOENT"],
    ["a push without a name", ["--push", "context"], "--push and --load need a name"],
    ["an unknown output", ["-o", "zip:x", "context"], "--output is oci:DIRECTORY"],
    ["an output without a file", ["-o", "block:", "context"], "names no file"],
    [
      "a name with a digest",
      ["-t", `a@sha256:${"0".repeat(64)}`, "context"],
      "a name that is given has no digest",
    ],
  ])("%s", async (_, words, sentence) => {
    const { exitCode, stderr } = await place.run([
      "build",
      "--store",
      place.store,
      ...words.map((word) => (word === "context" ? place.context : word)),
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd().split("\n").length).toBe(1);
  });

  test("a full disk", async () => {
    place.write(
      "large",
      Buffer.from(crypto.getRandomValues(new Uint8Array(65_536)))
        .toString("hex")
        .repeat(10),
    );
    const small = join(place.directory, "small");
    mkdirSync(small);
    await succeed(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small]);
    try {
      place.write("bunnyfile", `${BUILTIN}rootfs: {include: [large]}\n`);
      const { exitCode, stderr } = await place.run([
        "build",
        "--store",
        join(small, "store"),
        "-q",
        place.context,
      ]);
      expect(exitCode).toBe(1);
      expect(stderr).toContain("no space is left where");
      expect(readdirSync(join(small, "store")).sort()).toEqual(["blobs", "oci-layout"]);
    } finally {
      await succeed(["umount", small]);
    }
  });
});

describe("a build that is ended", () => {
  const file = () => `${BUILTIN}rootfs: {from: "${place.redis}", type: block}\n`;
  const started = () =>
    Bun.spawn([BUNNY, "build", "--store", place.store, "-t", "local/ended:1", place.context], {
      env: { PATH: process.env["PATH"] ?? "", HOME: place.directory },
      stdout: "ignore",
      stderr: "pipe",
    });
  /** Something is on its way. */
  const isAtWork = () =>
    existsSync(join(place.store, "ingest")) && readdirSync(join(place.store, "ingest")).length > 0;

  test.each(["SIGINT", "SIGKILL"] as const)(
    "by %s leaves a store that is whole, and the next one builds",
    async (signal) => {
      place.write("bunnyfile", file());
      const building = started();
      await until("a file is written", isAtWork, 60_000, 1);
      building.kill(signal);
      const status = await building.exited;
      if (signal === "SIGINT") {
        expect(status).toBe(130);
        expect((await new Response(building.stderr).text()).trimEnd().split("\n").at(-1)).toBe("interrupted");
        place.expectTidy();
      }
      expect((await place.run(["images", "--store", place.store])).stdout).not.toContain("ended");
      const digest = await place.build(file(), ["-t", "local/ended:1"]);
      await place.bunny(["prune"]);
      place.expectTidy();
      expect(
        JSON.parse((await place.run(["inspect", "--store", place.store, "local/ended:1"])).stdout).digest,
      ).toBe(digest);
      const other = await place.run([
        "build",
        "-q",
        "--store",
        join(place.directory, "other"),
        place.context,
      ]);
      expect(other.stdout.trim()).toBe(digest);
    },
  );
});
