import { basename } from "node:path";
import { bunny } from "./bunny/main.ts";
import { urunc } from "./runtime/main.ts";
import { shim } from "./shim/main.ts";

const words = process.argv.slice(2);
// No `await`: bytecode is made of functions, not of modules.
void Promise.resolve(run(basename(process.argv0), words)).then((status) => {
  process.exitCode = status;
});

/** One executable with several names: the one that it was called by says what it is. */
function run(name: string, words: readonly string[]): Promise<number> | number {
  if (name === "bunny") return bunny(words);
  if (name === "containerd-shim-urunc-v2") return shim(words);
  return urunc(words);
}
