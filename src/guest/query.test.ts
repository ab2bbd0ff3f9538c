import { expect, test } from "bun:test";
import { encodeFrame, FrameReader, FrameType } from "./frame.ts";
import { ANSWER_MAX, Conversation } from "./query.ts";

const [STDOUT, STDERR, CONTROL] = [5, 6, 7];
const text = (value: string) => new TextEncoder().encode(value);
const exited = (status: number) =>
  encodeFrame(FrameType.EXITED, CONTROL, new Uint8Array([status, 0, 0, 0, 0, 0, 0, 0]));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function answered(...frames: Uint8Array[]): Conversation["answer"] {
  const conversation = new Conversation();
  for (const frame of frames) conversation.take(frame);
  return conversation.answer;
}

test("a query is one document, announced, sent and started", () => {
  const opening = Conversation.opening({ verb: "update", argument: "pids.max 5\n" });
  const frames = new FrameReader().take(opening);
  expect(frames.map(({ type, stream }) => [type, stream])).toEqual([
    [FrameType.DOCUMENT, CONTROL],
    [FrameType.CHUNK, CONTROL],
    [FrameType.START, CONTROL],
  ]);
  const [announced, document] = frames;
  expect(hex(announced?.payload ?? new Uint8Array())).toBe("23000000");
  expect(hex(document?.payload ?? new Uint8Array())).toBe(
    `0d02000013000000${hex(text("update\0pids.max 5\n\0"))}0c02000000000000`,
  );
});

test("frames come together whatever the parts they arrive in", () => {
  const bytes = Buffer.concat([
    encodeFrame(1, 2, text("abc")),
    encodeFrame(3, 4),
    encodeFrame(5, 6, text("d")),
  ]);
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new FrameReader();
    const frames = [];
    for (let at = 0; at < bytes.length; at += size)
      frames.push(...reader.take(bytes.subarray(at, at + size)));
    expect(
      frames.map(({ type, stream, payload }) => [type, stream, Buffer.from(payload).toString()]),
    ).toEqual([
      [1, 2, "abc"],
      [3, 4, ""],
      [5, 6, "d"],
    ]);
  }
});

test("a frame that is too long, or not of this protocol, is refused before its payload comes", () => {
  expect(() => new FrameReader().take(new Uint8Array([1, 128, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))).toThrow(
    "too long",
  );
  expect(() => new FrameReader().take(new Uint8Array([0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0]))).toThrow(
    "reserved",
  );
});

test("an answer is what came on standard output, and each part of it is granted again", () => {
  const conversation = new Conversation();
  expect(conversation.take(encodeFrame(FrameType.STARTED, CONTROL, new Uint8Array(4)))).toEqual(
    new Uint8Array(),
  );
  const window = conversation.take(encodeFrame(FrameType.DATA, STDOUT, text("one, ")));
  expect(hex(window)).toBe(hex(encodeFrame(FrameType.WINDOW, STDOUT, new Uint8Array([5, 0, 0, 0]))));
  conversation.take(encodeFrame(FrameType.DATA, STDOUT, text("two")));
  conversation.take(encodeFrame(FrameType.EOF, STDOUT));
  expect(conversation.answer).toBeUndefined();
  conversation.take(exited(0));
  expect(conversation.answer).toEqual({ kind: "answer", text: "one, two" });
});

test("what fails has a sentence: the agent's, standard error's, or the status", () => {
  const failed = encodeFrame(FrameType.FAILED, CONTROL, text("\x01\0\0\0not now\0"));
  expect(answered(failed)).toEqual({ kind: "failed", text: "not now" });
  const errors = encodeFrame(FrameType.DATA, STDERR, text("why"));
  expect(answered(errors, exited(1))).toEqual({ kind: "failed", text: "why" });
  expect(answered(exited(137))).toEqual({ kind: "failed", text: "the query ended with status 137" });
});

test("a guest that breaks the protocol, or never ends its answer, is not listened to", () => {
  expect(() => answered(encodeFrame(FrameType.DATA, 9, text("x")))).toThrow("no process");
  expect(() => answered(encodeFrame(FrameType.DATA, CONTROL, text("x")))).toThrow("stream");
  expect(() => answered(encodeFrame(99, CONTROL))).toThrow("type");
  expect(() => answered(encodeFrame(FrameType.EXITED, CONTROL))).toThrow("size");
  const part = encodeFrame(FrameType.DATA, STDOUT, new Uint8Array(32_768));
  const conversation = new Conversation();
  expect(() => {
    for (let sent = 0; sent <= ANSWER_MAX; sent += 32_768) conversation.take(part);
  }).toThrow("longer than");
});
