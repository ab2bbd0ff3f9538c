import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bundle } from "./bundle.ts";
import type { PlannedContainer } from "./containers.ts";
import { type Runtime, runtimePath } from "./runtime.ts";

/** Bytes that do not repeat soon, so that a lost or doubled part shows. */
export function pattern(length: number): Uint8Array {
  return new Uint8Array(length).map((_, index) => (index * 31 + (index >> 7) * 17 + (index >> 15)) & 0xff);
}

export function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** Puts a file into a bundle's root and gives its hash. */
export function putPattern(bundle: Bundle, name: string, length: number): string {
  const bytes = pattern(length);
  writeFileSync(join(bundle.rootfs, name), bytes);
  return sha256(bytes);
}

/** `urunc run` with pipes of the test's own. */
export function runPiped(runtime: Runtime, { id, bundle }: PlannedContainer) {
  return Bun.spawn([runtimePath, "--root", runtime.root, "run", "--bundle", bundle.directory, id], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
}
