import { expect, test } from "bun:test";
import { wrongAt } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import { statusOf } from "./gateway.ts";
import { RpcError } from "./grpc.ts";

const file = { name: "bunnyfile", text: "version: v0.1\nkernel: x\n" };

test("an error of the build file has its place as BuildKit has it, so that clients show the line", () => {
  const { code, message, details } = statusOf(
    wrongAt("bunnyfile", { line: 2, column: 9 }, "it is wrong"),
    file,
  );
  expect([code, message]).toEqual([3, "bunnyfile:2:9: it is wrong"]);
  expect(details.map(({ typeUrl }) => typeUrl)).toEqual(["github.com/moby/buildkit/errdefs.Source+json"]);
  const { info, ranges } = JSON.parse(Buffer.from(details[0]?.value ?? []).toString());
  expect(info.filename).toBe("bunnyfile");
  expect(atob(info.data)).toBe(file.text);
  expect(ranges).toEqual([{ start: { line: 2, character: 8 }, end: { line: 2, character: 8 } }]);
});

test("other errors have their sentence alone, and those of BuildKit all that it said", () => {
  expect(statusOf(new UruncError("usage", "not so"), file)).toEqual({
    code: 3,
    message: "not so",
    details: [],
  });
  expect(statusOf(wrongAt("x", { line: 1, column: 1 }, "y"), undefined).details).toEqual([]);
  expect(statusOf(new TypeError("a fault"), file)).toEqual({ code: 13, message: "a fault", details: [] });
  const error = new RpcError(2, "failed", []);
  expect(statusOf(error, file)).toBe(error.status);
});
