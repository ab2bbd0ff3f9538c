import { expect, test } from "bun:test";
import { parseExactly, stringifyExactly } from "./exact-json.ts";

test("numbers of 64 bits go through unchanged, and only where they are bit sets", () => {
  const text =
    '{"value":18446744073709551615,"valueTwo":9007199254740993,"soft":18446744073709551615,"list":[{"value":1}]}';
  const value = parseExactly(text) as Record<string, unknown>;
  expect(value["value"]).toBe(18446744073709551615n);
  expect(value["valueTwo"]).toBe(9007199254740993n);
  expect(value["soft"]).toBe(2 ** 64);
  expect(value["list"]).toEqual([{ value: 1 }]);
  const { soft: _, ...exact } = value;
  expect(stringifyExactly(exact)).toBe(
    '{"value":18446744073709551615,"valueTwo":9007199254740993,"list":[{"value":1}]}',
  );
});

test("what is not a whole number stays what JSON makes of it", () => {
  expect(parseExactly('{"value":1234567890123456.5}')).toEqual({ value: 1234567890123456.5 });
  expect(parseExactly('{"valueTwo":-12345678901234567}')).toEqual({ valueTwo: Number("-12345678901234567") });
  expect(() => parseExactly('{"value":1234567890123456')).toThrow(SyntaxError);
});
