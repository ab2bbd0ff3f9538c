import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { UruncError } from "../errors.ts";

/** Rates that a processor can have, kHz; anything else is a damaged file or a wrong measurement. */
const LOWEST_KHZ = 100_000;
const HIGHEST_KHZ = 20_000_000;

/**
 * The rate of the host's time-stamp counter in kHz. Measured once in each boot of the host by
 * `STANDIN --measure-tsc`, and kept in `runDirectory/tsc-khz`, a file of root's. Any number of callers may ask at
 * once: each that finds no valid file measures and puts a whole file in its place.
 * Throws UruncError("internal") if the measurement fails.
 */
export function hostTscKhz(runDirectory: string, standin: string): number {
  const path = `${runDirectory}/tsc-khz`;
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const kept = readKept(path, bootId);
  if (kept !== undefined) return kept;
  const khz = measure(standin);
  keep(path, runDirectory, `${bootId} ${khz}\n`);
  return khz;
}

/** The rate in the text of the file if it was measured in this boot, else undefined. */
export function parseTscFile(text: string, bootId: string): number | undefined {
  const match = /^([0-9a-f-]{36}) ([0-9]{1,9})\n$/.exec(text);
  if (match === null || match[1] !== bootId) return undefined;
  return validRate(Number(match[2]));
}

function validRate(khz: number): number | undefined {
  return Number.isSafeInteger(khz) && khz >= LOWEST_KHZ && khz <= HIGHEST_KHZ ? khz : undefined;
}

function readKept(path: string, bootId: string): number | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(file);
    const trusted = stat.isFile() && stat.uid === process.geteuid?.() && (stat.mode & 0o022) === 0;
    return trusted && stat.size < 128 ? parseTscFile(readFileSync(file, "utf8"), bootId) : undefined;
  } finally {
    closeSync(file);
  }
}

/** Not being able to keep it costs the next start a measurement, nothing more. */
function keep(path: string, directory: string, text: string): void {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    writeFileSync(temporary, text, { mode: 0o600, flag: "wx" });
    renameSync(temporary, path);
  } catch {
    rmSync(temporary, { force: true });
  }
}

function measure(standin: string): number {
  const result = Bun.spawnSync([standin, "--measure-tsc"], { stdin: null, stderr: "pipe" });
  const khz = validRate(Number(result.stdout.toString().trim() || Number.NaN));
  if (!result.success || khz === undefined) {
    throw new UruncError(
      "internal",
      `the processor's clock rate cannot be measured: ${standin} --measure-tsc printed ` +
        `${JSON.stringify(result.stdout.toString().slice(0, 100))} (status ${result.exitCode})`,
    );
  }
  return khz;
}
