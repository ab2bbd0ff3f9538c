// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of Containerfiles
import { expect, test } from "bun:test";
import type { StageInstruction } from "./instruction.ts";
import { parseContainerfile, parseTrigger } from "./parse.ts";

function parse(text: string) {
  return parseContainerfile(text, "Containerfile");
}

/** The one instruction behind FROM. */
function instruction(text: string): StageInstruction {
  const { stages } = parse(`FROM scratch\n${text}\n`);
  expect(stages[0]?.instructions).toHaveLength(1);
  return stages[0]?.instructions[0] as StageInstruction;
}

test("a file is ARGs and stages", () => {
  const file = parse(`# syntax=docker/dockerfile:1

# a comment
ARG VERSION=12
FROM --platform=$BUILDPLATFORM debian:\${VERSION} AS Build
RUN make
from scratch
COPY --from=build /a /b
`);
  expect(file.globals).toMatchObject([{ variables: [{ name: "VERSION", value: { value: "12" } }] }]);
  expect(file.stages).toMatchObject([
    {
      index: 0,
      name: "build",
      from: {
        image: { value: "debian:${VERSION}", at: { line: 5, column: 32 } },
        platform: { value: "$BUILDPLATFORM", at: { line: 5, column: 6 } },
      },
      instructions: [{ kind: "run" }],
    },
    { index: 1, from: { image: { value: "scratch" } }, instructions: [{ kind: "copy" }] },
  ]);
  expect(file.stages[1]).not.toHaveProperty("name");
});

test.each([
  ["RUN a b", { kind: "run", command: { form: "shell", line: "a b" } }],
  ['RUN ["a", "b c"]', { kind: "run", command: { form: "exec", words: ["a", "b c"] } }],
  ["RUN ['a']", { kind: "run", command: { form: "shell", line: "['a']" } }],
  ["RUN [ -f /a ]", { kind: "run", command: { form: "shell", line: "[ -f /a ]" } }],
  ["RUN --network=none a", { kind: "run", network: "none", command: { line: "a" } }],
  ["RUN --security=sandbox -- --a", { kind: "run", command: { line: "--a" } }],
  [
    "RUN --mount=type=bind,from=build,target=/x a",
    { mounts: [{ options: "type=bind,from=build,target=/x", from: "build", at: { line: 2, column: 5 } }] },
  ],
  ["CMD a", { kind: "cmd", command: { form: "shell", line: "a" } }],
  ["entrypoint []", { kind: "entrypoint", command: { form: "exec", words: [] } }],
  [
    "ENV A=1 B='2 3' C=4\\ 5",
    {
      kind: "env",
      pairs: [
        { key: "A", value: "1" },
        { key: "B", value: "'2 3'" },
        { key: "C", value: "4\\ 5" },
      ],
    },
  ],
  ["ENV A  1  2", { kind: "env", pairs: [{ key: "A", value: "1  2" }] }],
  ['LABEL "a b"=c', { kind: "label", pairs: [{ key: '"a b"', value: "c" }] }],
  ["ARG A B=", { kind: "arg", variables: [{ name: "A" }, { name: "B", value: { value: "" } }] }],
  ["EXPOSE 443 80/udp", { kind: "expose", words: ["443", "80/udp"] }],
  ["VOLUME /a /b", { kind: "volume", words: ["/a", "/b"] }],
  ['VOLUME ["/a b"]', { kind: "volume", words: ["/a b"] }],
  ["USER a:b", { kind: "user", value: "a:b" }],
  ["WORKDIR /a b", { kind: "workdir", value: "/a b" }],
  ["STOPSIGNAL SIGINT", { kind: "stopsignal", value: "SIGINT" }],
  ["MAINTAINER A <a@b>", { kind: "maintainer", value: "A <a@b>" }],
  ['SHELL ["/bin/bash", "-c"]', { kind: "shell", words: ["/bin/bash", "-c"] }],
  ["ONBUILD  COPY . /a", { kind: "onbuild", trigger: "COPY . /a" }],
  ["HEALTHCHECK NONE", { kind: "healthcheck", health: { test: ["NONE"] } }],
  [
    'HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0s --retries=3 CMD ["a"]',
    { health: { test: ["CMD", "a"], interval: 90e9, timeout: 500e6, startPeriod: 0, retries: 3 } },
  ],
  ["HEALTHCHECK CMD a b", { health: { test: ["CMD-SHELL", "a b"] } }],
  [
    "COPY --from=0 --chown=1:2 --chmod=755 --link --parents --exclude=a --exclude=b x y /z/",
    {
      kind: "copy",
      from: { value: "0", at: { line: 2, column: 6 } },
      chown: "1:2",
      chmod: "755",
      link: true,
      parents: true,
      excludes: ["a", "b"],
      sources: ["x", "y"],
      destination: "/z/",
    },
  ],
  ['COPY ["a b", "/c d"]', { sources: ["a b"], destination: "/c d", link: false }],
  [
    "ADD --checksum=sha256:12 --unpack=false https://a/b /c",
    { kind: "add", checksum: "sha256:12", unpack: false, sources: ["https://a/b"] },
  ],
] as const)("%s", (text, expected) => {
  expect(instruction(text)).toMatchObject(expected as object);
});

test("a line goes on behind a backslash, over comments", () => {
  expect(instruction("RUN a \\\n  # not this\n  b \\  \n c")).toMatchObject({
    source: "RUN a   b  c",
    command: { line: "a   b  c" },
  });
});

test("an escaped backslash at the end goes on with nothing", () => {
  expect(parse("FROM a\nRUN a \\\\\nRUN b").stages[0]?.instructions).toHaveLength(2);
});

test("an empty line in an instruction is warned of, and places behind it are right", () => {
  const { warnings } = parse("FROM a\nRUN a \\\n\n b\nUSER b\n");
  expect(warnings).toEqual([expect.stringMatching(/^Containerfile:3:1: an empty line goes on/)]);
  expect(() => parse("FROM a\nCOPY a \\\n\n  # x\n  b \\\n <<c\nc")).toThrow(
    "Containerfile:6:2: COPY cannot accept",
  );
});

test("the escape letter is the file's", () => {
  const { escapeToken, stages } = parse("# escape=`\nFROM a\nRUN dir c:\\ `\n x\n");
  expect(escapeToken).toBe("`");
  expect(stages[0]?.instructions).toMatchObject([{ command: { line: "dir c:\\  x" } }]);
});

test("a directive behind a comment is a comment", () => {
  expect(parse("# a comment\n# escape=`\nFROM a").escapeToken).toBe("\\");
});

test("line ends of other systems and a byte order mark mean nothing", () => {
  expect(parse("\ufeffFROM a\r\nRUN b \\\r\n c\r\n").stages[0]?.instructions).toMatchObject([
    { command: { line: "b  c" } },
  ]);
});

test("files stand in the Containerfile", () => {
  expect(instruction("RUN cat <<A <<-'B' > x\na\nA\n\tb$C\n\tB")).toMatchObject({
    command: { line: "cat <<A <<-'B' > x" },
    heredocs: [
      { name: "A", content: "a\n", chomp: false, expand: true },
      { name: "B", content: "\tb$C\n", chomp: true, expand: false },
    ],
  });
  expect(instruction('COPY <<-"a" c /d/\n\tx\n\ta')).toMatchObject({
    sources: ["c"],
    destination: "/d/",
    heredocs: [{ name: "a", content: "x\n" }],
  });
  expect(instruction("ONBUILD RUN <<A\nx\nA")).toMatchObject({ trigger: "RUN <<A\nx\nA" });
});

test.each(["CMD a <<A", 'RUN ["a", "<<A"]', "RUN cat <<< a"])("%s has no file in it", (text) => {
  expect(instruction(text)).toBeDefined();
});

test.each([
  ["", "1:1: the Dockerfile cannot be empty"],
  ["# a\n", "1:1: file with no instructions"],
  ["ARG A\n", "1:1: dockerfile contains no stages to build"],
  ["RUN a\nFROM b", "1:1: no build stage in current context"],
  ["FROM a\n  CPOY a b", "2:3: unknown instruction: CPOY; is COPY meant?"],
  ["FROM a\nFETCHED b", "2:1: unknown instruction: FETCHED"],
  ["FROM a b", "1:1: FROM requires either one or three arguments"],
  ["FROM", "1:1: FROM requires either one or three arguments"],
  ["FROM a AS 1b", '1:11: invalid name for build stage: "1b"'],
  ["# escape=x\nFROM a", "1:1: invalid escape token 'x' does not match ` or \\"],
  ["# escape=`\n# escape=`\nFROM a", "2:1: only one escape parser directive can be used"],
  ["FROM a\nCOPY --form=b c d", "2:6: unknown flag: --form; is --from meant?"],
  ["FROM a\nCOPY --from=a --from=b c d", "2:15: duplicate flag specified: --from"],
  ["FROM a\nCOPY --from c d", "2:6: missing a value on flag: --from"],
  ["FROM a\nCOPY --link=no c d", "2:6: expecting boolean value for flag --link, not: no"],
  ["FROM a\nCOPY --from=$A c d", "2:6: variable expansion is not supported for --from"],
  ["FROM a\nCOPY a", "2:1: COPY requires at least two arguments, but only one was provided."],
  ["FROM a\nCOPY a <<b\nb", "2:8: COPY cannot accept a heredoc as a destination"],
  ["FROM a\nCOPY <<b c\nd", "2:6: unterminated heredoc"],
  ["FROM a\nADD https://a/b.git /c", "2:1: ADD of the git repository https://a/b.git is not supported"],
  ['FROM a\nCMD ["a", 1]', "2:5: when using JSON array syntax"],
  ["FROM a\nRUN", "2:1: RUN requires at least one argument"],
  ["FROM a\nRUN --network=host a", "2:5: RUN --network=host is not supported"],
  ["FROM a\nRUN --network=x a", '2:5: invalid network mode "x"'],
  ["FROM a\nRUN --security=insecure a", "2:5: RUN --security=insecure is not supported"],
  ["FROM a\nRUN --mount=from=$A,target=/b c", "2:5: 'from' doesn't support variable expansion"],
  ["FROM a\nENV A", "2:1: ENV must have two arguments"],
  ["FROM a\nENV A=1 B", '2:9: Syntax error - can\'t find = in "B"'],
  ["FROM a\nENV =1", "2:5: ENV names can not be blank"],
  ["FROM a\nARG =1", "2:5: ARG names can not be blank"],
  ["FROM a\nSHELL sh -c", "2:1: SHELL requires the arguments to be in JSON form"],
  ["FROM a\nSHELL []", "2:1: SHELL requires at least one argument"],
  ["FROM a\nUSER", "2:1: USER requires exactly one argument"],
  ["FROM a\nVOLUME", "2:1: VOLUME requires at least one argument"],
  ['FROM a\nVOLUME [""]', "2:1: VOLUME specified can not be an empty string"],
  ["FROM a\nONBUILD ONBUILD RUN a", "2:9: Chaining ONBUILD"],
  ["FROM a\nONBUILD FROM b", "2:9: FROM isn't allowed as an ONBUILD trigger"],
  ["FROM a\nHEALTHCHECK", "2:1: HEALTHCHECK requires at least one argument"],
  ["FROM a\nHEALTHCHECK NONE a", "2:18: HEALTHCHECK NONE takes no arguments"],
  ["FROM a\nHEALTHCHECK RUN a", '2:13: Unknown type "RUN" in HEALTHCHECK (try CMD)'],
  ["FROM a\nHEALTHCHECK CMD", "2:1: Missing command after HEALTHCHECK CMD"],
  ["FROM a\nHEALTHCHECK --interval=5 CMD a", "2:1: --interval is a length of time as 5s"],
  ["FROM a\nHEALTHCHECK --interval=1us CMD a", '2:1: Interval "interval" cannot be less than 1ms'],
  ["FROM a\nHEALTHCHECK --retries=-1 CMD a", "2:1: --retries is a number"],
  ["FROM a\n".repeat(1001), "1001:1: a file has at most 1000 stages"],
  [`FROM a\nRUN ${"x".repeat(70_000)}`, "2:1: dockerfile line greater than max allowed size of 65535"],
])("%j is refused", (text, sentence) => {
  expect(() => parse(text)).toThrow(`Containerfile:${sentence}`);
});

test("two stages of one name are warned of", () => {
  expect(parse("FROM a AS x\nFROM b AS X").warnings).toEqual([
    "Containerfile:2:11: a stage before is called x, too",
  ]);
});

test("a trigger of a base is wrong at the FROM that names the base", () => {
  const at = { line: 3, column: 4 };
  expect(parseTrigger("RUN <<A\na\nA", at, "F")).toMatchObject({ at, heredocs: [{ content: "a\n" }] });
  expect(() => parseTrigger("NO a", at, "F")).toThrow(
    'F:3:4: the base\'s ONBUILD "NO a": unknown instruction: NO',
  );
  expect(() => parseTrigger("RUN a\nRUN b", at, "F")).toThrow("should be a single expression");
});
