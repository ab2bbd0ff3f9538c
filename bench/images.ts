import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { succeed } from "../tests/harness/command.ts";
import { startDocker } from "../tests/harness/docker.ts";
import { dockerCommand } from "../tests/harness/docker-layout.ts";
import { ensureImage } from "../tests/harness/images.ts";
import { startRegistry } from "../tests/harness/registry.ts";
import { runtimePath } from "../tests/harness/runtime.ts";
import { inTurn, report, type Subject } from "./measure.ts";

const BUNNY = resolve(import.meta.dir, "../dist/bin/bunny");

/** The guide's recipes for a block image, whose size one has to know, and for an initrd. "$@" is Docker's client. */
const BLOCK_BY_HAND = `
dd if=/dev/zero of=rootfs.ext2 bs=1 count=0 seek=600M status=none
mkfs.ext2 -q rootfs.ext2
mkdir mounted
mount rootfs.ext2 mounted
trap 'umount mounted' EXIT
"$@" export "$("$@" create $IMAGE true)" -o exported.tar
tar -xf exported.tar -C mounted
`;
const INITRD_BY_HAND = `
mkdir unpacked
"$@" export "$("$@" create $IMAGE true)" | tar -C unpacked -xf -
cd unpacked
find . | cpio --quiet -H newc -o > ../rootfs.initrd
`;

/** How many times as long what ours stands for takes. */
export interface ImageRatios {
  block: number;
  initrd: number;
  pull: number;
  load: number;
}

/**
 * `bunny build` of a block image and of an initrd beside the guide's recipes, and `bunny` beside Docker where an image
 * comes from a registry or an archive and is unpacked. All are of one image of 380 MB in three layers.
 */
export async function images(rounds: number): Promise<ImageRatios> {
  const { archive, reference } = await ensureImage("toolchain");
  const docker = await startDocker({ name: "bench", runtime: runtimePath });
  const registry = await startRegistry({ within: docker.inNetwork });
  const directory = mkdtempSync(join(tmpdir(), "urunc-bench-"));
  const name = `${registry.host}/test/toolchain:1`;
  const env = { PATH: process.env["PATH"] ?? "", HOME: directory, IMAGE: reference };
  const remove = (...files: string[]) => {
    for (const file of files) rmSync(join(directory, file), { recursive: true, force: true });
  };
  const bunny = (...args: string[]) => succeed(docker.inNetwork([BUNNY, ...args]), { env, cwd: directory });
  const byHand = (script: string) => {
    const argv = ["bash", "-euo", "pipefail", "-c", script, "by hand", ...dockerCommand(docker.layout, [])];
    return succeed(argv, { env, cwd: directory });
  };
  const forget = async (...files: string[]) => {
    remove(...files);
    const containers = await docker.succeed(["ps", "--all", "--quiet"]);
    await docker.succeed(["rm", ...containers.split("\n")]);
  };
  const unpacked = async (...bring: string[]) => {
    await bunny(...bring, "--quiet", "--store", "store");
    await bunny("rootfs", "--store", "store", "-o", "erofs:root", bring.at(-1) as string);
  };
  const built = (form: "block" | "initrd") => {
    mkdirSync(join(directory, form));
    writeFileSync(join(directory, form, "bunnyfile"), bunnyfile(name, form));
    return () => bunny("build", "--quiet", "-o", `${form}:made`, form);
  };
  try {
    await docker.succeed(["load", "--input", archive]);
    await docker.succeed(["tag", reference, name]);
    await docker.succeed(["push", name]);
    await bunny("pull", "--quiet", name);
    const block = await compare("images-block", "a block image of an image", rounds, [
      [
        "the guide's recipe",
        () => byHand(BLOCK_BY_HAND),
        () => forget("rootfs.ext2", "mounted", "exported.tar"),
      ],
      ["`bunny build -o block:`", built("block"), () => remove("made")],
    ]);
    const initrd = await compare("images-initrd", "an initrd of an image", rounds, [
      ["the guide's recipe", () => byHand(INITRD_BY_HAND), () => forget("unpacked", "rootfs.initrd")],
      ["`bunny build -o initrd:`", built("initrd"), () => remove("made")],
    ]);
    await docker.succeed(["rmi", name, reference]);
    const pull = await compare("images-pull", "an image from a registry, unpacked", rounds, [
      ["`docker pull`", () => docker.succeed(["pull", "--quiet", name]), () => docker.succeed(["rmi", name])],
      ["`bunny pull`, `bunny rootfs`", () => unpacked("pull", name), () => remove("store", "root")],
    ]);
    const load = await compare("images-load", "an image from an archive, unpacked", rounds, [
      [
        "`docker load`",
        () => docker.succeed(["load", "--quiet", "--input", archive]),
        () => docker.succeed(["rmi", reference]),
      ],
      [
        "`bunny copy`, `bunny rootfs`",
        () => unpacked("copy", `docker-archive:${archive}`, "toolchain:1"),
        () => remove("store", "root"),
      ],
    ]);
    return { block, initrd, pull, load };
  } finally {
    await registry.stop();
    await docker.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

type Row = [name: string, work: () => Promise<unknown>, clean: () => unknown];

/** Measures the work of each row; gives how many times as long the first takes as the second. */
async function compare(name: string, title: string, rounds: number, rows: [Row, Row]): Promise<number> {
  const subjects = rows.map(
    ([name, work, clean]): Subject => ({
      name,
      async run() {
        // What was left to be written to the disk before is nobody's here.
        await succeed(["sync"]);
        const began = performance.now();
        await work();
        const time = performance.now() - began;
        await clean();
        return time;
      },
    }),
  );
  const [first, second] = await inTurn(subjects, rounds);
  if (first === undefined || second === undefined) throw new Error("nothing was measured");
  report(name, title, [first, second]);
  return first.median / second.median;
}

function bunnyfile(image: string, type: string): string {
  return `version: v0.1
platforms:
  framework: linux
  monitor: qemu
rootfs:
  from: ${image}
  type: ${type}
kernel:
  from: builtin
cmdline: /bin/true
`;
}
