import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bundle, BundleConfig } from "../harness/bundle.ts";
import { command, succeed, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import type { Call } from "../harness/runtime.ts";

/** A container whose root is a file, as an overlay's lower side. */

setDefaultTimeout(120_000);

const LOWER = "com.urunc.root.lower";
const UPPER = "com.urunc.root.upper";
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"].map(
  (name) => `CAP_${name}`,
);

let containers: Containers;
let erofs: string;
let count = 0;

beforeAll(async () => {
  containers = await openContainers("busybox");
  const { bundle } = await containers.plan(["true"]);
  mkdirSync(join(bundle.rootfs, "kept/below"), { recursive: true });
  writeFileSync(join(bundle.rootfs, "kept/one"), "of the image\n");
  writeFileSync(join(bundle.rootfs, "kept/two"), "of the image\n");
  writeFileSync(join(bundle.rootfs, "kept/below/three"), "of the image\n");
  chmodSync(bundle.rootfs, 0o751);
  erofs = join(containers.runtime.directory, "root.erofs");
  await succeed(["mkfs.erofs", erofs, bundle.rootfs]);
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

async function makeUpper(): Promise<string> {
  const path = join(containers.runtime.directory, `upper-${++count}.ext4`);
  writeFileSync(path, "");
  truncateSync(path, 64 * 2 ** 20);
  await succeed(["mkfs.ext4", "-q", path]);
  return path;
}

/** A container of a shell's script with this root; the bundle's own root is an empty directory. */
async function plan(
  script: string,
  root: Record<string, string>,
  change: (config: BundleConfig) => void = () => {},
): Promise<{ id: string; bundle: Bundle }> {
  const container = await containers.plan(["sh", "-c", script], (config) => {
    config.annotations = root;
    for (const set of ["bounding", "effective", "permitted"]) config.process.capabilities[set] = CAPABILITIES;
    change(config);
  });
  rmSync(container.bundle.rootfs, { recursive: true });
  mkdirSync(container.bundle.rootfs);
  return container;
}

async function run(...words: Parameters<typeof plan>): Promise<Call> {
  const { id, bundle } = await plan(...words);
  return containers.runtime.call(["run", "--bundle", bundle.directory, id]);
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

async function whileMounted<T>(image: string, look: (place: string) => Promise<T>): Promise<T> {
  const place = `${image}.mounted`;
  mkdirSync(place, { recursive: true });
  // Read-only, so that a journal that has something to be replayed would be an error.
  await succeed(["mount", "-o", "loop,ro", image, place]);
  try {
    return await look(place);
  } finally {
    await succeed(["umount", place]);
  }
}

const CHANGES = `set -e
  echo changed > /kept/one; rm /kept/two; rm -r /kept/below; mkdir /kept/below; echo new > /kept/below/four
  mkdir /made; mkfifo /made/fifo; mknod /made/null c 1 3; ln -s one /made/link; chown 5:6 /made
  cat /kept/one /kept/below/*; ls /kept; stat -c '%a %u:%g' / /made`;
const CHANGED = "changed\nnew\nbelow\none\n751 0:0\n755 5:6\n";

describe("with changes in memory", () => {
  test("the root is written to, and the file stays as it was", async () => {
    const before = hashOf(erofs);
    for (const root of [{ [LOWER]: erofs, [UPPER]: "tmpfs" }, { [LOWER]: erofs }]) {
      const call = await run(CHANGES, root);
      expect(call.stderr).toBe("");
      expect(call.stdout).toBe(CHANGED);
      expect(call.exitCode).toBe(0);
    }
    expect(hashOf(erofs)).toBe(before);
  });

  test("a directory and its files are on one device", async () => {
    const script = "touch /kept/new; stat -c %d / /kept /kept/one /kept/new /bin/busybox | sort -u | wc -l";
    expect((await run(script, { [LOWER]: erofs })).stdout).toBe("1\n");
  });

  test("nothing is shared with the host where nothing is bound", async () => {
    const { id, bundle } = await plan("grep -c . /proc/mounts; exec sleep 1000", { [LOWER]: erofs });
    await containers.create({ id, bundle });
    await containers.runtime.succeed(["start", id]);
    const names = processesInCgroup(bundle.config.linux.cgroupsPath).map(processName);
    expect(names).toContain("urunc-standin");
    expect(names).not.toContain("virtiofsd");
    const exec = await containers.runtime.call(["exec", id, "cat", "/kept/one"]);
    expect(exec.stdout).toBe("of the image\n");
    await containers.runtime.succeed(["delete", "--force", id]);
    await containers.expectGone(id);
  });

  test("binds of directories and files still arrive, on mount points that the image lacks", async () => {
    const volume = join(containers.runtime.directory, `volume-${++count}`);
    mkdirSync(volume);
    writeFileSync(join(volume, "hosts"), "127.0.0.1 localhost\n");
    const bind = (config: BundleConfig) => {
      config.mounts.push(
        { destination: "/data/deep", type: "bind", source: volume, options: ["rbind", "rw"] },
        {
          destination: "/etc/hosts",
          type: "bind",
          source: join(volume, "hosts"),
          options: ["rbind", "ro"],
        },
      );
    };
    const call = await run(
      "cat /etc/hosts; echo out > /data/deep/file; ls / | grep data",
      { [LOWER]: erofs },
      bind,
    );
    expect(call.stderr).toBe("");
    expect(call.stdout).toBe("127.0.0.1 localhost\ndata\n");
    expect(readFileSync(join(volume, "file"), "utf8")).toBe("out\n");
  });

  test("a read-only root has its mount points and takes nothing", async () => {
    const call = await run(
      "touch /new; mount | grep -c ' / '; ls -d /proc/self /w",
      { [LOWER]: erofs },
      (config) => {
        config.root.readonly = true;
        config.process.cwd = "/w";
      },
    );
    expect(call.stderr).toContain("Read-only file system");
    expect(call.stdout).toBe("1\n/proc/self\n/w\n");
  });

  test("an ext4 file is a lower side too, and is not written to", async () => {
    const { bundle } = await containers.plan(["true"]);
    const ext4 = join(containers.runtime.directory, "root.ext4");
    await succeed(["mkfs.ext4", "-q", "-d", bundle.rootfs, ext4, "32M"]);
    const before = hashOf(ext4);
    const call = await run("echo x > /new; cat /new; exit 3", { [LOWER]: ext4 });
    expect([call.stdout, call.exitCode]).toEqual(["x\n", 3]);
    expect(hashOf(ext4)).toBe(before);
  });
});

describe("with changes on a disk", () => {
  test("they are there again in the next machine, and can be read on the host", async () => {
    const upper = await makeUpper();
    const root = { [LOWER]: erofs, [UPPER]: upper };
    const first = await run(CHANGES, root);
    expect(first.stderr).toBe("");
    expect(first.stdout).toBe(CHANGED);
    const again = await run("cat /kept/one /kept/below/*; ls /kept; stat -c '%a %u:%g' / /made", root);
    expect(again.stdout).toBe(CHANGED);
    // Without anything to be repaired or replayed.
    expect(await command(["fsck.ext4", "-fn", upper])).toMatchObject({ exitCode: 0 });
    const features = await succeed(["dumpe2fs", "-h", upper]);
    expect(features).not.toContain("needs_recovery");
    const found = await whileMounted(upper, (place) =>
      succeed(["sh", "-c", `cd ${place}/upper && find kept made | sort | xargs stat -c '%n %F %t:%T'`]),
    );
    expect(found.trim().split("\n")).toEqual([
      "kept directory 0:0",
      "kept/below directory 0:0",
      "kept/below/four regular file 0:0",
      "kept/one regular file 0:0",
      "kept/two character special file 0:0",
      "made directory 0:0",
      "made/fifo fifo 0:0",
      "made/link symbolic link 0:0",
      "made/null character special file 1:3",
    ]);
    const opaque = await whileMounted(upper, (place) =>
      succeed([
        ...["getfattr", "--absolute-names", "--only-values", "-n", "trusted.overlay.opaque"],
        join(place, "upper/kept/below"),
      ]),
    );
    expect(opaque).toBe("y");
  });

  test("what was written just before the end is there", async () => {
    const upper = await makeUpper();
    const root = { [LOWER]: erofs, [UPPER]: upper };
    const call = await run("dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' 'x' > /big; exit 7", root);
    expect(call.exitCode).toBe(7);
    const found = await whileMounted(upper, (place) =>
      succeed(["sh", "-c", `tr -d x < ${place}/upper/big | wc -c; stat -c %s ${place}/upper/big`]),
    );
    expect(found).toBe("0\n8388608\n");
  });

  test("two machines cannot have one disk for their changes", async () => {
    const upper = await makeUpper();
    const root = { [LOWER]: erofs, [UPPER]: upper };
    const first = await plan("exec sleep 1000", root);
    await containers.create(first);
    await containers.runtime.succeed(["start", first.id]);
    const second = await run("true", root);
    expect(second.exitCode).not.toBe(0);
    expect(second.stderr).toContain("Is another process using the image");
    await containers.runtime.succeed(["delete", "--force", first.id]);
    await until("the disk is free", async () => (await run("true", root)).exitCode === 0);
  });
});

describe("is refused by create", () => {
  async function sentence(root: Record<string, string>): Promise<string> {
    const { id, bundle } = await plan("true", root);
    const call = await containers.runtime.call(["create", "--bundle", bundle.directory, id]);
    expect(call.exitCode).toBe(1);
    await containers.expectGone(id);
    return call.log.at(-1)?.msg ?? "";
  }

  test("what is no file system, is missing, or contradicts itself", async () => {
    const none = join(containers.runtime.directory, "none");
    writeFileSync(none, "nothing");
    const locked = await makeUpper();
    renameSync(locked, `${locked},locked`);
    await succeed(["chown", "1000:1000", `${locked},locked`]);
    chmodSync(`${locked},locked`, 0o600);
    expect(await sentence({ [LOWER]: none })).toContain("neither an EROFS nor an ext4 file system");
    expect(await sentence({ [LOWER]: erofs, [UPPER]: erofs })).toContain("no ext4 file system");
    expect(await sentence({ [LOWER]: `${none}.missing` })).toContain("cannot be looked at");
    expect(await sentence({ [LOWER]: containers.runtime.directory })).toContain("not a regular file");
    expect(await sentence({ [LOWER]: "root.erofs" })).toContain("must be an absolute path");
    expect(await sentence({ [LOWER]: "/tmp/../etc/passwd" })).toContain("must be an absolute path");
    expect(await sentence({ [UPPER]: "tmpfs" })).toContain(`needs ${LOWER}`);
    expect(await sentence({ "com.urunc.root.lowr": erofs })).toContain("com.urunc.root.lowr is unknown");
    expect(await sentence({ [LOWER]: erofs, [UPPER]: `${locked},locked` })).toContain("chown 0");
  });
});
