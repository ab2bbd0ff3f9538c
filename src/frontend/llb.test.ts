import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { change, definitionOf, type Output, outputOf, run, source } from "./llb.ts";
import { type Definition, type Op, OpSchema } from "./protocol/llb_pb.ts";

const platform = { os: "linux", architecture: "amd64" };
const step = (name: string) => ({ name, platform });

const opsOf = ({ def }: Definition): Op[] => def.map((bytes) => fromBinary(OpSchema, bytes));
const digestOf = (bytes: Uint8Array) =>
  `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;

const image = (name: string): Output => source(`docker-image://${name}`, {}, step(name));
const copy = (from: Output, path: string) =>
  ({ kind: "copy", from, source: path, destination: path, mode: -1, time: undefined }) as const;

describe("a definition", () => {
  test("has each step once, behind those that it needs, and names its result last", () => {
    const base = image("base");
    const one = change(base, [copy(image("other"), "/one")], step("one"));
    const both = change(one, [copy(base, "/two"), copy(image("other"), "/three")], step("both"));
    const definition = definitionOf(both);
    const ops = opsOf(definition);
    expect(ops.map(({ op }) => op.case)).toEqual(["source", "source", "file", "file", undefined]);
    const known = new Set<string>();
    for (const [index, { inputs }] of ops.entries()) {
      for (const { digest } of inputs) expect(known.has(digest)).toBe(true);
      known.add(digestOf(definition.def[index] as Uint8Array));
    }
    expect(ops.at(-1)?.inputs).toMatchObject([{ digest: both.vertex.digest, index: 0n }]);
  });

  test("calls its steps by names for people, and skips what is known only as it is told", () => {
    const base = image("base");
    const again = change(base, [copy(base, "/one")], { ...step("again"), ignoreCache: true });
    const { metadata } = definitionOf(again);
    expect(metadata[base.vertex.digest]).toMatchObject({
      ignoreCache: false,
      description: { "llb.customname": "base" },
    });
    expect(metadata[again.vertex.digest]?.ignoreCache).toBe(true);
  });

  test("is the same for the same steps, in whatever order attributes are named", () => {
    const one = source("local://context", { a: "1", b: "2" }, step("context"));
    const other = source("local://context", { b: "2", a: "1" }, step("context"));
    expect(one.vertex.digest).toBe(other.vertex.digest);
  });

  test("that was given can be built on: its steps stay as they are, to the byte", () => {
    const given = definitionOf(change(image("base"), [copy(image("other"), "/one")], step("one")));
    const more = definitionOf(change(outputOf(given), [copy(image("third"), "/two")], step("two")));
    expect(more.def.slice(0, 3)).toEqual(given.def.slice(0, -1));
    expect(more.def).toHaveLength(6);
    for (const [digest, one] of Object.entries(given.metadata)) expect(more.metadata[digest]).toEqual(one);
  });

  test("with a step missing is refused", () => {
    const given = definitionOf(change(image("base"), [copy(image("other"), "/one")], step("one")));
    expect(() => outputOf({ ...given, def: given.def.slice(1) })).toThrow("lacks the step");
    expect(() => outputOf({ ...given, def: [] })).toThrow("has no result");
  });

  test("of many steps is no deeper than a stack is", () => {
    let last = image("base");
    for (let count = 0; count < 20_000; count++) last = change(last, [copy(last, `/${count}`)], step("one"));
    expect(definitionOf(last).def).toHaveLength(20_002);
  });
});

describe("a change of files", () => {
  const actionsOf = (output: Output) => {
    const { op } = fromBinary(OpSchema, output.vertex.op);
    if (op.case !== "file") throw new Error(`it is a ${op.case}`);
    return op.value.actions;
  };

  test("is a chain: each action works on what the one before gives, and the last one's is the result", () => {
    const [base, other] = [image("base"), image("other")];
    const actions = actionsOf(
      change(
        base,
        [{ kind: "directory", path: "/d", mode: 0o755, time: 1 }, copy(other, "/one"), copy(base, "/two")],
        step("three"),
      ),
    );
    expect(actions.map(({ input, secondaryInput, output }) => [input, secondaryInput, output])).toEqual([
      [0n, -1n, -1n],
      [2n, 1n, -1n],
      [3n, 0n, 0n],
    ]);
  });

  test("of nothing begins with an empty file system", () => {
    const [only] = actionsOf(
      change(
        undefined,
        [{ kind: "file", path: "/f", mode: 0o644, time: 2, data: Buffer.from("x") }],
        step("f"),
      ),
    );
    expect(only?.input).toBe(-1n);
    expect(only?.action).toMatchObject({
      case: "mkfile",
      value: { path: "/f", mode: 0o644, timestamp: 2_000_000_000n, owner: { user: { user: { value: 0 } } } },
    });
  });

  test("copies files with their times and owners, or as root's with a time", () => {
    const base = image("base");
    const as = { kind: "copy", from: base, source: "/a", destination: "/b/", mode: 0o600 } as const;
    const [kept, made] = actionsOf(
      change(
        base,
        [
          { ...as, time: undefined },
          { ...as, time: 0 },
        ],
        step("copies"),
      ),
    );
    expect(kept?.action).toMatchObject({ case: "copy", value: { timestamp: -1n, mode: 0o600, dest: "/b/" } });
    expect(kept?.action.case === "copy" && kept.action.value.owner).toBeUndefined();
    expect(made?.action).toMatchObject({
      case: "copy",
      value: { timestamp: 0n, owner: { user: { user: { case: "byId", value: 0 } } } },
    });
  });
});

test("a program's result is what it puts into an empty directory; the rest it only reads, without a network", () => {
  const [root, data] = [image("root"), image("data")];
  const made = run(
    { args: ["/p"], env: ["A=1"], root, mounts: [{ from: data, at: "/data" }], result: "/result" },
    step("run"),
  );
  const { op, inputs } = fromBinary(OpSchema, made.vertex.op);
  if (op.case !== "exec") throw new Error(`it is a ${op.case}`);
  expect(inputs.map(({ digest }) => digest)).toEqual([root.vertex.digest, data.vertex.digest]);
  expect(op.value.network).toBe(2);
  expect(op.value.mounts.map(({ input, dest, output, readonly }) => [input, dest, output, readonly])).toEqual(
    [
      [0n, "/", 0n, false],
      [1n, "/data", -1n, true],
      [-1n, "/result", 1n, false],
    ],
  );
  expect(made.index).toBe(1);
});
