import { afterAll, afterEach, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { ConfigDocument } from "../../src/build/image.ts";
import { succeed } from "../harness/command.ts";
import { type Docker, startDocker } from "../harness/docker.ts";
import { ensureImage } from "../harness/images.ts";

// What an image says decides how it runs. So what bunny build makes is held against what the real BuildKit makes of the
// same Containerfiles: that of Debian's Docker, whose dockerfile.v0 knows no heredocs yet.

setDefaultTimeout(180_000);

const bunnyPath = join(resolve(import.meta.dir, "../.."), "dist/bin/bunny");

let docker: Docker;
/** A home with a store that has the base. */
let home: string;
let environment: Record<string, string>;
let directory: string;

beforeAll(async () => {
  const { archive } = await ensureImage("busybox");
  docker = await startDocker({ name: "configs", runtime: "/usr/sbin/runc" });
  await docker.succeed(["load", "--input", archive]);
  home = mkdtempSync(join(tmpdir(), "urunc-configs-"));
  environment = { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: tmpdir() };
  const copy = [bunnyPath, "copy", "--quiet", `docker-archive:${archive}`, "urunc-test/busybox"];
  await succeed(copy, { env: environment });
}, 600_000);
afterAll(async () => {
  await docker?.stop();
  if (home !== undefined) rmSync(home, { recursive: true });
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-configs-"));
  mkdirSync(join(directory, "context"));
  writeFileSync(join(directory, "context/file"), "content\n");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** An image's configuration as its bytes have it, and not as `docker inspect` shows it. */
async function configOf(image: string): Promise<ConfigDocument> {
  const archive = join(directory, "image.tar");
  await docker.succeed(["save", "--output", archive, image]);
  const read = async (name: string) => JSON.parse(await succeed(["tar", "-xOf", archive, name]));
  const [{ Config: name }] = (await read("manifest.json")) as [{ Config: string }];
  return (await read(name)) as ConfigDocument;
}

async function buildkit(text: string, flags: readonly string[]): Promise<ConfigDocument> {
  const file = join(directory, "Containerfile");
  writeFileSync(file, text);
  const id = join(directory, "id");
  const words = ["build", "--quiet", "--iidfile", id, "--file", file, ...flags, join(directory, "context")];
  await docker.succeed(words, {
    env: { PATH: process.env["PATH"] ?? "", HOME: directory, DOCKER_BUILDKIT: "1" },
  });
  return configOf(readFileSync(id, "utf8"));
}

/** What `bunny build` makes of the same. */
async function ours(text: string, flags: readonly string[]): Promise<ConfigDocument> {
  const file = join(directory, "Containerfile");
  writeFileSync(file, text);
  const bunny = (...args: string[]) => succeed([bunnyPath, ...args], { env: environment });
  await bunny("build", "--quiet", "--plain", "-t", "made", "-f", file, ...flags, join(directory, "context"));
  return JSON.parse(await bunny("inspect", "--config", "made")) as ConfigDocument;
}

/** Without what says nothing, and Docker's fields of a container that never was. */
function normal(config: ConfigDocument) {
  const fields = Object.entries(config.config ?? {}).filter(
    ([name, value]) =>
      value !== null &&
      value !== "" &&
      !/^(?:Attach\w+|Hostname|Domainname|Tty|OpenStdin|StdinOnce|Image)$/.test(name),
  );
  const history = (config.history ?? []).map(({ created: _, empty_layer: isEmpty, ...entry }) => {
    const by = sameInAllVersions(entry.created_by ?? "");
    // Where nothing changed we make no layer, and BuildKit an empty one.
    const mayBeEmpty = /^(?:RUN|WORKDIR) /.test(by);
    return { ...entry, created_by: by, ...(mayBeEmpty ? {} : { isEmpty: isEmpty ?? false }) };
  });
  return { author: config.author, config: Object.fromEntries(fields), history };
}

/** Later versions of BuildKit, which we follow, write values of ARG otherwise, and what Go prints of structures. */
function sameInAllVersions(createdBy: string): string {
  return createdBy
    .replace(/^((?:EXPOSE|HEALTHCHECK) ).*/s, "$1")
    .replace(/^(ARG \w+)=.*/s, "$1")
    .replace(/^RUN \|\d+ .*?(?=\/bin\/)/s, "RUN ");
}

const CASES: readonly {
  name: string;
  text: string;
  buildArgs?: Record<string, string>;
  target?: string;
}[] = [
  {
    name: "everything that an image says",
    text: `FROM urunc-test/busybox
MAINTAINER A  <a@b>
LABEL one=1 "two words"='2 "3"' three="a \\
 b"
LABEL old form  of a label
ENV A=1 B="x y" C=x\\ y
ENV OLD form  of a variable
ENV A=2 D=$A-"\${B:-no}"-\${NONE:-yes} E=\${C:+"c c"}
EXPOSE 80 90-92 53/udp 7/TCP
VOLUME /data "/more"
VOLUME ["/a b"]
USER user:$A
WORKDIR /work
WORKDIR sub/./dir/..
STOPSIGNAL SIGINT
HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD test -e "/file" || exit 1
CMD ["a", "b\\"\\t\\u00e9"]
`,
  },
  {
    name: "commands and shells",
    text: `FROM urunc-test/busybox
ENTRYPOINT echo $A
SHELL ["/bin/sh", "-ec"]
CMD echo   "$B"
HEALTHCHECK NONE
`,
  },
  {
    name: "an entrypoint that takes the base's command away",
    text: 'FROM urunc-test/busybox\nENTRYPOINT ["/bin/sh", "-c"]\n',
  },
  {
    name: "a command that stays",
    text: 'FROM urunc-test/busybox\nCMD ["a"]\nENTRYPOINT ["/bin/sh", "-c"]\n',
  },
  { name: "nothing but a file", text: "FROM scratch\nCOPY file /a/\n" },
  {
    name: "arguments",
    buildArgs: { GIVEN: "given", OVER: "over", GLOBAL: "global given", UNKNOWN: "x" },
    text: `ARG GLOBAL=global
ARG BASE=busybox
FROM urunc-test/\${BASE}
ARG GIVEN
ARG OVER=default
ARG DEFAULT="def ault"
ARG NONE
ARG GLOBAL
ARG TARGETARCH
ENV OVER2=$OVER
LABEL a=$GIVEN b=$OVER c=$DEFAULT d=$NONE e=$GLOBAL f=$TARGETARCH g=$BASE h=$UNKNOWN
RUN true
ENV DEFAULT=env
ARG DEFAULT=again
LABEL i=$DEFAULT
RUN   echo "$DEFAULT"  &&\\
  # a comment
  true
RUN ["/bin/true", "$DEFAULT"]
`,
  },
  {
    name: "files",
    text: `FROM urunc-test/busybox AS one
WORKDIR /w
ENV D=/d
COPY --chown=1:2 file $D/
ADD file $D/other
FROM urunc-test/busybox
COPY --from=one /d/file /d/
COPY ["file", "/x y/"]
WORKDIR /
`,
  },
  {
    name: "a stage that begins with another",
    target: "child",
    text: `FROM urunc-test/busybox AS parent
ARG A=1
ENV B=2
WORKDIR /p
CMD ["c"]
FROM parent AS child
RUN true
WORKDIR c
ENTRYPOINT ["e"]
LABEL a=$A b=$B
FROM scratch
`,
  },
  {
    name: "triggers",
    text: `FROM urunc-test/busybox
ONBUILD RUN echo "$A"
ONBUILD COPY --chown=1 . /x
ONBUILD   LABEL a=1
`,
  },
];

test.each(CASES)("$name: BuildKit's image says the same", async ({ text, buildArgs = {}, target }) => {
  const flags = Object.entries(buildArgs).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]);
  if (target !== undefined) flags.push("--target", target);
  const theirs = normal(await buildkit(text, flags));
  expect(normal(await ours(text, flags))).toEqual(theirs);
});

test.each([
  ["FROM a\nCPOY b c", "unknown instruction: CPOY"],
  ["# nothing\n", "file with no instructions"],
  ["RUN a\nFROM scratch", "no build stage in current context"],
  ["FROM a b", "FROM requires either one or three arguments"],
  [
    "FROM scratch AS 1a",
    'invalid name for build stage: "1a", name can\'t start with a number or contain symbols',
  ],
  ["FROM scratch\nCOPY a", "COPY requires at least two arguments, but only one was provided."],
  ["FROM scratch\nENV a", "ENV must have two arguments"],
  ["FROM scratch\nENV a=1 b", 'Syntax error - can\'t find = in "b". Must be of the form: name=value'],
  ["FROM scratch\nCMD [1]", "when using JSON array syntax, arrays must be comprised of strings only"],
  ["FROM scratch\nLABEL a=\u0024{:b}", "bad substitution"],
  ["FROM scratch\nSTOPSIGNAL NO", "nvalid signal: NO"],
  ["FROM scratch\nSHELL a", "SHELL requires the arguments to be in JSON form"],
  ["FROM scratch\nONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"],
  ["FROM scratch\nHEALTHCHECK A", 'Unknown type "A" in HEALTHCHECK (try CMD)'],
  ["FROM scratch\nCOPY --form=a b c", "form"],
  ["FROM $A", "base name ($A) should not be blank"],
  ["FROM scratch\nCOPY --from=7 a b", "invalid stage index 7"],
])("%j: BuildKit and we refuse it in the same words", async (text, sentence) => {
  await expect(ours(text, [])).rejects.toThrow(sentence);
  await expect(buildkit(text, [])).rejects.toThrow(sentence);
});
