import { expect, test } from "bun:test";
import { normalEnvironment } from "./environment.ts";

test("the last value of a name stands in the first one's place", () => {
  expect(normalEnvironment(["B=1", "A=two\nlines", "B=2", "C==", "D="])).toEqual([
    "B=2",
    "A=two\nlines",
    "C==",
    "D=",
  ]);
});

test("what is no variable is refused in runc's words", () => {
  expect(() => normalEnvironment(["A=1", "NONE"])).toThrow(
    'unable to start container process: error during container init: invalid environment variable: "NONE"',
  );
  expect(() => normalEnvironment(["=1"])).toThrow(`environment variable name can't be empty: "=1"`);
});
