import { describe, expect, test } from "bun:test";
import { type PushedInput, PushReader, type Reading } from "./push-reader.ts";

/** Numbers of one byte that each say how many bytes of text follow, up to the end. */
function* words(input: PushedInput): Reading<string[]> {
  const found: string[] = [];
  for (;;) {
    const [length] = yield* input.take(1);
    if (length === undefined) return found;
    found.push((yield* input.take(length)).toString());
  }
}

test("a reader gives the same however its input is cut, and keeps nothing of a part", () => {
  const input = Buffer.from("\x03abc\x00\x02de");
  for (let size = 1; size <= input.length; size++) {
    const reader = new PushReader(words);
    for (let start = 0; start < input.length; start += size) {
      const part = Buffer.from(input.subarray(start, start + size));
      reader.push(part);
      part.fill(0);
    }
    expect(reader.end()).toEqual(["abc", "", "de"]);
  }
});

test("takes fewer bytes where the input ends", () => {
  const reader = new PushReader(words);
  reader.push(Buffer.from("\x05ab"));
  expect(reader.end()).toEqual(["ab"]);
});

describe("what a reader passes over", () => {
  function* second(input: PushedInput): Reading<string> {
    const wasThere = yield* input.passOver(1000);
    return `${wasThere} ${input.position} ${yield* input.take(2)}`;
  }

  test("need not be given to it", () => {
    const reader = new PushReader(second);
    reader.push(Buffer.alloc(100));
    expect(reader.unneeded).toBe(900);
    reader.skip(600);
    reader.push(Buffer.alloc(100));
    expect(reader.unneeded).toBe(200);
    reader.skip(200);
    expect(reader.done).toBe(false);
    reader.push(Buffer.from("yes"));
    expect(reader.done).toBe(true);
    expect(reader.end()).toBe("true 1000 ye");
  });

  test("is missed where the input ends before", () => {
    const reader = new PushReader(second);
    reader.push(Buffer.alloc(100));
    reader.skip(899);
    expect(reader.end()).toBe("false 999 ");
  });
});

test("an error is thrown by who made the reader go on, and it does not go on", () => {
  const reader = new PushReader(function* (input): Reading<void> {
    yield* input.take(1);
    throw new Error("refused");
  });
  expect(() => reader.push(Buffer.alloc(1))).toThrow("refused");
  reader.push(Buffer.alloc(1));
  expect(reader.done).toBe(true);
});
