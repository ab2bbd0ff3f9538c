// What runs before anything is installed: plain Node, no packages. It brings the npm packages into place, then hands
// over to Bun, which runs scripts/VERB.ts.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [verb = "", ...words] = process.argv.slice(2);
const verbs = ["start", "test", "build", "bench", "install"];

if (Number.parseInt(process.versions.node, 10) < 20) {
  fail(`Node ${process.versions.node} is too old: version 20 or later is needed`);
}
if (process.platform !== "linux" || process.arch !== "x64") {
  fail(`this is ${process.platform} on ${process.arch}: virtual machines are made on Linux on x86-64 only`);
}
if (!verbs.includes(verb)) fail(`scripts/bootstrap.mjs knows ${verbs.join(", ")}, not ${verb}`);

installPackages();
const bun = findBun();
const { status, signal } = spawnSync(bun, [join(root, "scripts", `${verb}.ts`), ...words], {
  cwd: root,
  stdio: "inherit",
});
process.exit(signal === null ? (status ?? 1) : 1);

/** Installs what the lock file says, once for each state of it. */
function installPackages() {
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  const marker = join(root, "node_modules/.urunc-lock");
  if (existsSync(marker) && readFileSync(marker, "utf8") === lock) return;
  process.stderr.write("npm packages: installing, about 10 seconds\n");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (npm.error) fail(`npm cannot be run (${npm.error.message}): install it, as Debian's package npm`);
  if (npm.status !== 0) fail("npm ci failed: see its message above");
  writeFileSync(marker, lock);
}

/** The program itself: npm may have been told not to run the script that puts it into place. */
function findBun() {
  const program = join(root, "node_modules/bun/bin/bun.exe");
  if (spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0) return program;
  spawnSync(process.execPath, [join(root, "node_modules/bun/install.js")], { stdio: "inherit" });
  if (spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0) return program;
  fail("the npm package bun does not run on this machine");
}

/**
 * @param {string} sentence
 * @returns {never}
 */
function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}
