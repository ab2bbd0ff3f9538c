import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kernelRelease } from "../config/share.ts";
import { guestFileFindings } from "./guest-files.ts";

test("the kernel is named with its release, which is unknown for one of somebody else's", () => {
  const directory = mkdtempSync(join(tmpdir(), "urunc-guest-"));
  try {
    expect(guestFileFindings(directory).findings).toEqual([
      { what: "files", state: "not", found: expect.stringContaining("vmlinux is missing: build one with") },
    ]);
    for (const name of ["vmlinux", "initramfs.cpio", "urunc-standin"])
      writeFileSync(join(directory, name), "\x7fELF");
    expect(guestFileFindings(directory).findings[0]?.found).toEndWith("vmlinux, of an unknown version");
    writeFileSync(join(directory, "kernel.json"), '{"release": "6.12.1-urunc"}');
    expect(guestFileFindings(directory).findings.map(({ state }) => state)).toEqual(["ok", "ok"]);
    expect(guestFileFindings(directory).findings[0]?.found).toEndWith("vmlinux, 6.12.1-urunc");
    writeFileSync(join(directory, "kernel.json"), '{"release": 6}');
    expect(kernelRelease(directory)).toBeUndefined();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
