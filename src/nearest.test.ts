import { expect, test } from "bun:test";
import { nearest } from "./nearest.ts";

test("the nearest word is one that is close", () => {
  expect(nearest("kernal", ["kernel", "rootfs"])).toBe("kernel");
  expect(nearest("kenrel", ["kernel"])).toBe("kernel");
  expect(nearest("x", ["y"])).toBeUndefined();
  expect(nearest("platform", ["platforms"])).toBe("platforms");
});
