import { expect, test } from "bun:test";
import { join } from "node:path";
import { command } from "../harness/command.ts";

/** Of each fuzzer; the fast lanes have a few. */
const SECONDS = 180;
const NATIVE = join(import.meta.dir, "../../native");

for (const file of [...new Bun.Glob("*_fuzz.c").scanSync(join(NATIVE, "fuzz"))].sort()) {
  const name = file.replace("_fuzz.c", "");

  test(`${name}: ${SECONDS} seconds of whatever the other side may send`, async () => {
    const words = [
      `BUILD=${NATIVE}/../build/native`,
      `FUZZ_SECONDS=${SECONDS}`,
      "FUZZ_SEED=0",
      `fuzz-${name}`,
    ];
    const call = await command(["make", "-s", "-C", NATIVE, ...words], { timeoutMs: SECONDS * 4000 });
    expect(call.stderr).toBe("");
    expect(call.exitCode).toBe(0);
  }, 900_000);
}
