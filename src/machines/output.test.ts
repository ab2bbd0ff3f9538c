import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linesOf, OutputDecoder, type OutputRecord, readOutput } from "./output.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-output-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const record = (time: number, letter: "o" | "e", text: string) =>
  `${time}.000000001 ${letter} ${Buffer.byteLength(text)}\n${text}\n`;
const texts = async (records: AsyncIterable<OutputRecord>) => {
  const all: string[] = [];
  for await (const { stream, bytes } of records) all.push(`${stream} ${bytes}`);
  return all;
};

test("records come apart wherever the log is cut", () => {
  const log = Buffer.from(record(1, "o", "a\nb") + record(2, "e", "") + record(3, "o", "1.000000001 o 5\n"));
  for (let size = 1; size < log.length; size++) {
    const decoder = new OutputDecoder();
    const found: string[] = [];
    for (let at = 0; at < log.length; at += size) {
      for (const one of decoder.decode(log.subarray(at, at + size))) found.push(`${one.stream} ${one.bytes}`);
    }
    expect(found).toEqual(["stdout a\nb", "stderr ", "stdout 1.000000001 o 5\n"]);
  }
});

test("what is no log is refused, and does not fill the memory", () => {
  for (const text of ["x\n", "1.0 o 5\n", `1.000000001 o 999999\n`, "1".repeat(100)]) {
    expect(() => [...new OutputDecoder().decode(Buffer.from(text))]).toThrow("damaged");
  }
});

test("the log before and the log are read in turn, and followed over a change", async () => {
  writeFileSync(join(directory, "log.1"), record(1, "o", "one"));
  writeFileSync(join(directory, "log"), record(2, "o", "two"));
  expect(await texts(readOutput(directory, false, () => true))).toEqual(["stdout one", "stdout two"]);
  let over = false;
  let caughtUp = 0;
  const following = texts(
    readOutput(
      directory,
      true,
      () => over,
      () => caughtUp++,
    ),
  );
  await Bun.sleep(120);
  appendFileSync(join(directory, "log"), record(3, "e", "three"));
  renameSync(join(directory, "log"), join(directory, "log.1"));
  writeFileSync(join(directory, "log"), record(4, "o", "four"));
  await Bun.sleep(120);
  over = true;
  expect(await following).toEqual(["stdout one", "stdout two", "stderr three", "stdout four"]);
  expect(caughtUp).toBe(1);
});

test("lines are put together for each stream", async () => {
  writeFileSync(
    join(directory, "log"),
    [record(1, "o", "a"), record(2, "e", "E\n"), record(3, "o", "b\nc\nd"), record(4, "e", "F")].join(""),
  );
  const lines: string[] = [];
  for await (const { time, stream, bytes } of linesOf(readOutput(directory, false, () => true))) {
    lines.push(`${time} ${stream} ${bytes}`);
  }
  expect(lines).toEqual([
    "2.000000001 stderr E\n",
    "1.000000001 stdout ab\n",
    "3.000000001 stdout c\n",
    "3.000000001 stdout d",
    "4.000000001 stderr F",
  ]);
});
