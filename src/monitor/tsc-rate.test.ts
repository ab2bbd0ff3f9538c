import { expect, test } from "bun:test";
import { parseTscFile } from "./tsc-rate.ts";

const BOOT = "01234567-89ab-cdef-0123-456789abcdef";
const OTHER = "11234567-89ab-cdef-0123-456789abcdef";

test("a rate that was measured in this boot is taken", () => {
  expect(parseTscFile(`${BOOT} 2399998\n`, BOOT)).toBe(2_399_998);
});

test.each([100_000, 20_000_000])("%d kHz is a processor's", (khz) => {
  expect(parseTscFile(`${BOOT} ${khz}\n`, BOOT)).toBe(khz);
});

test.each([0, 99_999, 20_000_001, 999_999_999])("%d kHz is none", (khz) => {
  expect(parseTscFile(`${BOOT} ${khz}\n`, BOOT)).toBeUndefined();
});

test("another boot's rate is not this one's", () => {
  expect(parseTscFile(`${OTHER} 2400000\n`, BOOT)).toBeUndefined();
});

test.each([
  "",
  "\n",
  `${BOOT}\n`,
  `${BOOT} \n`,
  // Cut short while it was written: the number may go on.
  `${BOOT} 2400000`,
  `${BOOT} 2400000\n\n`,
  `${BOOT} 2400000 \n`,
  `${BOOT}  2400000\n`,
  ` ${BOOT} 2400000\n`,
  `${BOOT} -2400000\n`,
  `${BOOT} 2400000.5\n`,
  `${BOOT} 0x240000\n`,
  `${BOOT} 2.4e6\n`,
  `${BOOT} 1234567890\n`,
  `${BOOT} 2400000\n${BOOT} 2400000\n`,
  `\0${BOOT} 2400000\n`,
])("%j is no such file", (text) => {
  expect(parseTscFile(text, BOOT)).toBeUndefined();
});
