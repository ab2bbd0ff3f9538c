import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What a series of measurements says, in milliseconds or another unit of the reporter's. */
export interface Figures {
  name: string;
  runs: number;
  minimum: number;
  median: number;
  maximum: number;
}

/** One thing to measure: gives the milliseconds of one run, or its figure in another unit. */
export interface Subject {
  name: string;
  run(): Promise<number>;
}

/**
 * Measures several subjects in turn, so that whatever else the machine does meets all of them: only their ratios carry
 * over to another machine. The first round is thrown away: caches.
 */
export async function inTurn(subjects: readonly Subject[], rounds: number): Promise<Figures[]> {
  const times = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const subject of subjects) {
      const time = await subject.run();
      if (round > 0) times.get(subject)?.push(time);
    }
  }
  return subjects.map((subject) => figures(subject.name, times.get(subject) ?? []));
}

/** Summarises measurements; there must be at least one. */
export function figures(name: string, times: readonly number[]): Figures {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (index: number) => {
    const value = sorted[index];
    if (value === undefined) throw new Error(`${name}: nothing was measured`);
    return Math.round(value);
  };
  return {
    name,
    runs: sorted.length,
    minimum: at(0),
    median: at(Math.floor((sorted.length - 1) / 2)),
    maximum: at(sorted.length - 1),
  };
}

/** Prints a table with each median's ratio to the first, and keeps the figures in `build/bench/NAME.json`. */
export function report(
  name: string,
  title: string,
  rows: readonly Figures[],
  more: object = {},
  unit = "ms",
): void {
  const base = rows[0]?.median ?? Number.NaN;
  console.log(`\n${title}\n`);
  console.log("| what | runs | minimum | median | maximum | ratio |\n|---|---|---|---|---|---|");
  for (const row of rows) {
    const cells = [
      row.name,
      row.runs,
      ...[row.minimum, row.median, row.maximum].map((figure) => `${figure} ${unit}`),
    ];
    console.log(`| ${[...cells, (row.median / base).toFixed(2)].join(" | ")} |`);
  }
  const directory = join(import.meta.dir, "../build/bench");
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    join(directory, `${name}.json`),
    `${JSON.stringify({ title, unit, rows, ...more }, undefined, 2)}\n`,
  );
}
