import { expect, test } from "bun:test";
import { waysBench } from "../../bench/ways.ts";

// What docs/rootfs.md says of the ways' speed, with a margin for a machine that does other things too.

const SHARED = ["virtiofs", "9p"];
const DISKS = ["block image, ext4", "files, tmpfs above", "automatic image, EROFS"];

test("small files of a root on disks are met, read, made and unpacked at least twice as fast as of a shared one", async () => {
  const seen = await waysBench({ ways: [...SHARED, ...DISKS], rounds: 1, files: 500, large: 64 });
  for (const what of ["small files, stat", "small files, read", "small files, write", "unpack"]) {
    for (const disk of DISKS) {
      for (const shared of SHARED) {
        expect((seen[disk]?.[what] as number) / (seen[shared]?.[what] as number)).toBeLessThan(0.5);
      }
    }
  }
}, 900_000);
