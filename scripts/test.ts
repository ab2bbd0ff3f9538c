// Every test there is, or one lane of them: `unit` (seconds), `e2e` (minutes), `long` (churn, fuzz and bench).
import { join } from "node:path";
import { makeDist, ROOT } from "./make-dist.ts";
import { installDebianPackages, requireRoot } from "./setup.ts";
import { elapsed, fail, say } from "./terminal.ts";

/** A step of a lane: a command whose output says how many tests it ran. */
interface Step {
  name: string;
  argv: string[];
}

interface Count {
  passed: number;
  failed: number;
}

const [lane = "all", ...more] = process.argv.slice(2);
if (!["all", "unit", "e2e", "long"].includes(lane) || more.length > 0) {
  fail(`npm test knows the lanes unit, e2e and long, not ${[lane, ...more].join(" ")}`);
}
requireRoot("npm test", ["build", "run", "test"]);
await installDebianPackages(["build", "run", "test"]);
await makeDist();

const total: Count = { passed: 0, failed: 0 };
for (const step of stepsOf(lane)) {
  const began = performance.now();
  const count = await run(step);
  total.passed += count.passed;
  total.failed += count.failed;
  say(`${step.name}: ${count.passed} passed, ${count.failed} failed, in ${elapsed(began)}`);
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);

function stepsOf(name: string): Step[] {
  const unit: Step[] = [
    { name: "types", argv: [join(ROOT, "node_modules/.bin/tsc")] },
    { name: "format and lint", argv: [join(ROOT, "node_modules/.bin/biome"), "check"] },
    {
      name: "unit tests in C",
      argv: ["make", "-C", join(ROOT, "native"), `BUILD=${ROOT}/build/native`, "test"],
    },
    {
      name: "fuzzers",
      argv: ["make", "-s", "-C", join(ROOT, "native"), `BUILD=${ROOT}/build/native`, "fuzz"],
    },
    { name: "unit tests", argv: [process.execPath, "test", "src", "scripts"] },
  ];
  const files = (directory: string) =>
    [...new Bun.Glob("*.test.ts").scanSync(join(ROOT, directory))].sort().map((file) => ({
      name: file.replace(/\.test\.ts$/, ""),
      argv: [process.execPath, "test", "--timeout", "120000", `./${directory}/${file}`],
    }));
  // One file after another: each boots virtual machines, which take all the processors there are.
  switch (name) {
    case "unit":
      return unit;
    case "e2e":
      return files("tests/e2e");
    case "long":
      return files("tests/long");
    default:
      return [...unit, ...files("tests/e2e")];
  }
}

/** Runs a step, its output passed on. One that does not count its tests is one test itself. */
async function run(step: Step): Promise<Count> {
  say(`${step.name} …`);
  const child = Bun.spawn(step.argv, { cwd: ROOT, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [output, errors, status] = await Promise.all([
    passOn(child.stdout, process.stdout),
    passOn(child.stderr, process.stderr),
    child.exited,
  ]);
  const text = output + errors;
  const passed = numberBefore(text, "pass");
  const failed = numberBefore(text, "fail");
  if (passed === undefined) return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  // A test runner that ends badly without a failed test has failed all the same.
  return { passed, failed: status === 0 ? 0 : Math.max(failed ?? 0, 1) };
}

async function passOn(from: ReadableStream<Uint8Array>, to: NodeJS.WriteStream): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of from) {
    to.write(part);
    text += decoder.decode(part, { stream: true });
  }
  return text;
}

/** `12` of Bun's line ` 12 pass`. */
function numberBefore(text: string, word: string): number | undefined {
  const matches = [...text.matchAll(new RegExp(`^\\s*(\\d+) ${word}$`, "gm"))];
  const last = matches.at(-1)?.[1];
  return last === undefined ? undefined : Number(last);
}
