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

/** Steps that may run beside each other. */
interface Stage {
  steps: Step[];
  atATime: number;
}

interface Count {
  passed: number;
  failed: number;
  /** What failed, in words. */
  failures: string[];
  /** What this machine cannot show, in words. */
  skipped: string[];
}

/** By how long they take: begun late, they would be waited for alone. */
const LONGEST = ["same-as-runc", "ways", "ways-direct", "hostile-guest", "killed", "terminals", "streams"];
/** What measures time or memory has the machine for itself. */
const ALONE = ["clock", "isolation", "resources"];

const [lane = "all", ...more] = process.argv.slice(2);
if (!["all", "unit", "e2e", "long"].includes(lane) || more.length > 0) {
  fail(`npm test knows the lanes unit, e2e and long, not ${[lane, ...more].join(" ")}`);
}
requireRoot("npm test", ["build", "run", "test"]);
await installDebianPackages(["build", "run", "test"]);
await makeDist();

const total: Count = { passed: 0, failed: 0, failures: [], skipped: [] };
for (const { steps, atATime } of stagesOf(lane)) {
  const left = [...steps];
  const worker = async () => {
    for (let step = left.shift(); step !== undefined; step = left.shift())
      await runAndCount(step, atATime > 1);
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}
for (const name of total.skipped) console.log(`skipped, not verified here: ${name}`);
for (const failure of total.failures) console.log(`failed: ${failure}`);
console.log(counts(total));
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);

function stagesOf(name: string): Stage[] {
  const unit: Step[] = [
    { name: "types", argv: [join(ROOT, "node_modules/.bin/tsc")] },
    { name: "format and lint", argv: [join(ROOT, "node_modules/.bin/biome"), "check"] },
    {
      name: "unit tests in C",
      argv: ["make", "-j2", "-C", join(ROOT, "native"), `BUILD=${ROOT}/build/native`, "test"],
    },
    {
      name: "fuzzers",
      argv: ["make", "-j2", "-s", "-C", join(ROOT, "native"), `BUILD=${ROOT}/build/native`, "fuzz"],
    },
    // A busy machine is no failure: the limit is for what hangs.
    { name: "unit tests", argv: [process.execPath, "test", "--timeout", "60000", "src", "scripts"] },
  ];
  const files = (directory: string) =>
    [...new Bun.Glob("*.test.ts").scanSync(join(ROOT, directory))].sort().map((file) => ({
      name: file.replace(/\.test\.ts$/, ""),
      argv: [process.execPath, "test", "--timeout", "120000", `./${directory}/${file}`],
    }));
  const e2e = files("tests/e2e");
  const isAlone = ({ name }: Step) => ALONE.includes(name);
  const stages: Record<string, Stage[]> = {
    unit: [{ steps: unit, atATime: 1 }],
    // Each waits for its machines half of the time.
    e2e: [
      { steps: longestFirst(e2e.filter((step) => !isAlone(step))), atATime: 2 },
      { steps: e2e.filter(isAlone), atATime: 1 },
    ],
    long: [{ steps: files("tests/long"), atATime: 1 }],
  };
  return stages[name] ?? [...(stages["unit"] ?? []), ...(stages["e2e"] ?? [])];
}

function longestFirst(steps: readonly Step[]): Step[] {
  const rank = ({ name }: Step) => (LONGEST.includes(name) ? LONGEST.indexOf(name) : LONGEST.length);
  return [...steps].sort((one, other) => rank(one) - rank(other));
}

async function runAndCount(step: Step, beside: boolean): Promise<void> {
  const began = performance.now();
  const count = await run(step, beside);
  total.passed += count.passed;
  total.failed += count.failed;
  total.failures.push(...count.failures.map((failure) => `${step.name}: ${failure}`));
  total.skipped.push(...count.skipped.map((name) => `${step.name}: ${name}`));
  say(`${step.name}: ${counts(count)}, in ${elapsed(began)}`);
}

function counts({ passed, failed, skipped }: Count): string {
  return `${passed} passed, ${failed} failed${skipped.length === 0 ? "" : `, ${skipped.length} skipped`}`;
}

/**
 * Runs a step, its output passed on: at its end, if others run beside it. One that does not count its tests is one test
 * itself.
 */
async function run(step: Step, beside: boolean): Promise<Count> {
  say(`${step.name} …`);
  const child = Bun.spawn(step.argv, { cwd: ROOT, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [output, errors, status] = await Promise.all([
    passOn(child.stdout, beside ? undefined : process.stdout),
    passOn(child.stderr, beside ? undefined : process.stderr),
    child.exited,
  ]);
  const text = output + errors;
  if (beside) process.stderr.write(text);
  const passed = numberBefore(text, "pass");
  const failed = numberBefore(text, "fail");
  const named = (what: string) => [
    ...new Set([...text.matchAll(new RegExp(`^\\(${what}\\) (.*)$`, "gm"))].map(([, name]) => name ?? "")),
  ];
  const skipped = named("skip");
  if (status === 0) return { passed: passed ?? 1, failed: 0, failures: [], skipped };
  // A test runner that ends badly without a failed test has failed all the same.
  const failures = named("fail");
  return {
    passed: passed ?? 0,
    failed: Math.max(failed ?? 0, 1),
    failures: failures.length > 0 ? failures : [`ended with ${status}`],
    skipped,
  };
}

async function passOn(from: ReadableStream<Uint8Array>, to: NodeJS.WriteStream | undefined): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of from) {
    to?.write(part);
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
