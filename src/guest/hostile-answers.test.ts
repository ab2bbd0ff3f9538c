import { expect, test } from "bun:test";
import { parseProcesses } from "./processes.ts";
import { parseStatistics } from "./statistics.ts";

// Answers that would take minutes, and hours at the length that there may be, if reading them took more than one pass.
const MIB = 1024 * 1024;

test("statistics of very many lines for one file", () => {
  expect(parseStatistics("net/dev x\n".repeat(MIB / 4)).interfaces).toEqual([]);
});

test("statistics of one line of blanks", () => {
  expect(parseStatistics(`net/dev eth0:${" ".repeat(MIB)}x`).interfaces).toEqual([]);
  expect(parseStatistics(`io.stat ${" ".repeat(MIB)}\nnet/dev ${" ".repeat(MIB)}`).io).toEqual([]);
});

test("a process whose arguments are nothing but NULs, but for the last", () => {
  const fields = ["1", ...Array<string>(9).fill("0"), "S", ...Array<string>(9).fill("1"), "-", "name"];
  const nuls = "\\x00".repeat(MIB / 4);
  const list = (args: string) => parseProcesses(`clock 1.0 100 1 1\n${[...fields, args].join("\t")}\n`);
  expect(list(`${nuls}x`).processes[0]?.args).toBe(`${" ".repeat(MIB / 4)}x`);
  expect(list(`sh${nuls}`).processes[0]?.args).toBe("sh");
});
