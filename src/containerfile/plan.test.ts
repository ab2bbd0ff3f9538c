// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of Containerfiles
import { describe, expect, test } from "bun:test";
import type { ConfigDocument } from "../build/image.ts";
import { parseContainerfile } from "./parse.ts";
import type { BuildRequest, RunStep, StagePlan } from "./plan.ts";
import { planBuild } from "./plan-build.ts";
import { imageState, planStage, scratchState } from "./plan-stage.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const ARM = { os: "linux", architecture: "arm", variant: "v7" };
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

interface Wishes extends Partial<Omit<BuildRequest, "buildArgs">> {
  buildArgs?: Record<string, string>;
}

function plan(text: string, { buildArgs = {}, ...wishes }: Wishes = {}) {
  const request = { platform: AMD64, buildPlatform: AMD64, ...wishes };
  return planBuild(parseContainerfile(text, "F"), {
    ...request,
    buildArgs: new Map(Object.entries(buildArgs)),
  });
}

/** The plan of the target, whose base is `FROM base` or another stage of the text. */
function planned(text: string, wishes: Wishes = {}, base: ConfigDocument = {}): StagePlan {
  const build = plan(text, wishes);
  const plans = new Map<number, StagePlan>();
  for (const index of build.order) {
    const from = build.stages[index]?.base;
    const state =
      from?.kind === "stage"
        ? plans.get(from.index)?.result
        : from?.kind === "scratch"
          ? scratchState()
          : imageState(base);
    if (state === undefined) throw new Error("a stage stands before the one that it begins with");
    plans.set(index, planStage(build, index, state));
  }
  return plans.get(build.target) as StagePlan;
}

function steps(text: string, wishes: Wishes = {}, base: ConfigDocument = {}) {
  return planned(`FROM base\n${text}`, wishes, base).steps;
}

function config(text: string, wishes: Wishes = {}, base: ConfigDocument = {}) {
  return planned(`FROM base\n${text}`, wishes, base).result.config;
}

describe("which stages are built", () => {
  const TEXT = `FROM a AS one
FROM b AS two
COPY --from=one /x /y
FROM c AS three
RUN --mount=from=two,target=/t x
FROM one AS four
COPY --from=0 /x /y
FROM scratch
COPY --from=three /x /y
COPY --from=busybox /x /y`;

  test.each([
    [undefined, [0, 1, 2, 4]],
    ["four", [0, 3]],
    ["THREE", [0, 1, 2]],
    ["1", [0, 1]],
    ["one", [0]],
  ] as const)("for the target %j", (target, order) => {
    expect(plan(TEXT, target === undefined ? {} : { target })).toMatchObject({ order, target: order.at(-1) });
  });

  test("a target that is not there is refused", () => {
    expect(() => plan(TEXT, { target: "fuor" })).toThrow(
      'target stage "fuor" could not be found; is four meant?',
    );
    expect(() => plan(TEXT, { target: "9" })).toThrow('target stage "9" could not be found');
  });

  test.each([
    ["FROM a\nCOPY --from=b /x /y\nFROM a AS b", undefined, false],
    ["FROM a AS x\nCOPY --from=b /x /y\nFROM a AS b\nCOPY --from=x /x /y", "b", true],
    ["FROM a AS x\nCOPY --from=b /x /y\nFROM a AS b", "x", true],
    ["FROM a AS x\nCOPY --from=x /x /y", "x", true],
    ["FROM a\nCOPY --from=7 /x /y", undefined, true],
  ] as const)("%j is %s refused for the target %j: %p", (text, target, isRefused) => {
    const build = () => plan(text, target === undefined ? {} : { target });
    if (isRefused)
      expect(build).toThrow(/^F:2:6: (?:circular dependency|cannot copy from stage|invalid stage)/);
    else expect(build().order).toEqual([1]);
  });
});

describe("what stages begin with", () => {
  test("images, nothing, and stages before", () => {
    const { stages } = plan(
      "FROM debian:12 AS a\nFROM scratch\nFROM a\nFROM --platform=linux/arm/v7 A-B/c@sha256:" +
        "0".repeat(64) +
        " AS d\nFROM d",
    );
    expect(stages.map(({ base, title }) => [base.kind, title])).toEqual([
      ["image", "a"],
      ["scratch", "stage-1"],
      ["stage", "stage-2"],
      ["image", "d"],
      ["stage", "stage-4"],
    ]);
    expect(stages[0]?.base).toMatchObject({
      reference: { value: { repository: "library/debian", tag: "12" } },
    });
    expect(stages.map(({ platform }) => platform)).toEqual([AMD64, AMD64, AMD64, ARM, ARM]);
  });

  test.each([
    ["ARG V=12\nFROM debian:$V", {}, "12"],
    ["ARG V=12\nFROM debian:${V%2}9", {}, "19"],
    ["ARG V\nFROM debian:${V:-13}", {}, "13"],
    ["ARG V=12\nFROM debian:$V", { V: "11" }, "11"],
    ["ARG V=1\nARG W=${V}2\nFROM debian:$W", {}, "12"],
    ["FROM debian:$TARGETARCH", {}, "amd64"],
    ["ARG TARGETARCH=x\nFROM debian:$TARGETARCH", {}, "x"],
  ])("%s with %j is the tag %s", (text, buildArgs, tag) => {
    expect(plan(text, { buildArgs }).stages[0]?.base).toMatchObject({ reference: { value: { tag } } });
  });

  test.each([
    ["FROM $V", "1:6: base name ($V) should not be blank: no ARG before the first FROM gives V a value"],
    ["FROM a:b:c", "1:6:"],
    ["FROM Debian", "1:6:"],
    ["FROM ${V?no}", "1:6: ${V?no}: V: no"],
    ["FROM --platform=$V a", "1:6: empty platform value from expression $V"],
    ["FROM --platform=a/b/c/d a", '1:6: "a/b/c/d" is no platform'],
  ])("%s is refused", (text, sentence) => {
    expect(() => plan(text)).toThrow(`F:${sentence}`);
  });
});

describe("variables", () => {
  test.each([
    ["ARG A=1\nLABEL x=$A", {}, "1"],
    ["ARG A=1\nLABEL x=$A", { A: "2" }, "2"],
    ["LABEL x=$A", { A: "2" }, ""],
    ["ARG A\nLABEL x=${A-none}", {}, "none"],
    ["ARG A\nENV B=$A\nLABEL x=$B", { A: "2" }, "2"],
    ["ENV A=1\nENV A=2 B=$A\nLABEL x=$B", {}, "1"],
    ["ARG A=1 B=${A}2\nLABEL x=$B", {}, "12"],
    ["LABEL x=$BASE", {}, "of base"],
    ["ENV BASE=own\nLABEL x=$BASE", {}, "own"],
    ["ARG TARGETPLATFORM\nLABEL x=$TARGETPLATFORM", {}, "linux/amd64"],
    ["LABEL x=$TARGETPLATFORM", {}, ""],
    ["LABEL x='$BASE' y=1", {}, "$BASE"],
    ['LABEL x="a b"\\ c', {}, "a b c"],
  ])("%s with %j is %s", (text, buildArgs, x) => {
    const { config: { Labels: labels } = {} } = config(
      text,
      { buildArgs },
      { config: { Env: ["BASE=of base"] } },
    );
    expect(labels?.["x"]).toBe(x);
  });

  test("ARGs before the first FROM are there for a stage that asks for them", () => {
    expect(planned("ARG A=1\nFROM base\nLABEL x=$A\nARG A\nLABEL y=$A").result.config.config?.Labels).toEqual(
      {
        x: "",
        y: "1",
      },
    );
  });

  test("a stage has the ARGs of the stage that it begins with", () => {
    const { steps, result } = planned("FROM base AS a\nARG A=1\nFROM a\nRUN echo $A");
    expect(steps).toMatchObject([
      { env: [PATH, "A=1"], createdBy: "RUN |1 A=1 /bin/sh -c echo $A # buildkit" },
    ]);
    expect(result.config.config?.Env).toEqual([PATH]);
  });

  test("one that is not set is warned of", () => {
    expect(
      planned("FROM base\nENV VERSION=1\nLABEL x=$VERISON y=${Z:-}\nARG B\nLABEL z=$B").warnings,
    ).toEqual(["F:3:1: the variable $VERISON is not set, and empty; is $VERSION meant?"]);
  });

  test("a build argument that nothing declares is warned of", () => {
    const buildArgs = { A: "1", B: "2", C: "3", HTTP_PROXY: "x", BUILDKIT_INLINE_CACHE: "1" };
    expect(plan("FROM a AS x\nARG A\nFROM a\nARG B", { buildArgs }).warnings).toEqual([
      "[Warning] One or more build-args [A C] were not consumed",
    ]);
  });
});

describe("RUN", () => {
  function run(text: string, wishes: Wishes = {}, base: ConfigDocument = {}): RunStep {
    return steps(text, wishes, base).find((step) => step.kind === "run") as RunStep;
  }

  test("a line is the shell's, words are a program", () => {
    expect(run("RUN echo  $HOME")).toMatchObject({
      argv: ["/bin/sh", "-c", "echo  $HOME"],
      env: [PATH],
      workingDirectory: "/",
      user: "",
      network: "default",
      mounts: [],
      createdBy: "RUN /bin/sh -c echo  $HOME # buildkit",
    });
    expect(run('RUN ["echo", "$HOME"]')).toMatchObject({
      argv: ["echo", "$HOME"],
      createdBy: "RUN echo $HOME # buildkit",
    });
  });

  test("it has what came before it", () => {
    const text =
      'SHELL ["/bin/bash", "-ec"]\nENV A=1\nARG B=2\nARG C\nUSER u:g\nWORKDIR /a\nWORKDIR b\nRUN x';
    expect(run(text, {}, { config: { Env: ["PATH=/bin", "A=0"] } })).toMatchObject({
      argv: ["/bin/bash", "-ec", "x"],
      env: ["PATH=/bin", "A=1", "B=2"],
      user: "u:g",
      workingDirectory: "/a/b",
      createdBy: "RUN |2 B=2 C= /bin/bash -ec x # buildkit",
    });
  });

  test("its title has the variables that are known", () => {
    expect(run("ENV A=1\nrun echo '$A' \"$A\" $B").title).toBe("RUN echo '$A' \"1\" $B");
  });

  test("build arguments for proxies are there without ARG, and no part of what it is", () => {
    const buildArgs = { HTTPS_PROXY: "http://p", no_proxy: "x" };
    expect(run("ENV no_proxy=y\nRUN x", { buildArgs })).toMatchObject({
      env: [PATH, "no_proxy=y", "HTTPS_PROXY=http://p", "https_proxy=http://p", "NO_PROXY=x"],
      unkeyed: ["HTTPS_PROXY=http://p", "https_proxy=http://p", "NO_PROXY=x"],
      createdBy: "RUN /bin/sh -c x # buildkit",
    });
  });

  test.each([
    ["RUN <<E\na\nb\nE", ["/bin/sh", "-c", "a\nb\n"], undefined, "RUN <<E (a...)"],
    ["RUN <<-E\n\ta\nE", ["/bin/sh", "-c", "a\n"], undefined, "RUN <<-E (a)"],
    ["RUN cat <<E >x\na\nE", ["/bin/sh", "-c", "cat <<E >x\na\nE"], undefined, "RUN cat <<E >x"],
    [
      "RUN <<E\n#!/bin/x\na\nE",
      ["/dev/pipes/E"],
      { path: "/dev/pipes/E", content: "#!/bin/x\na\n" },
      "RUN <<E (#!/bin/x...)",
    ],
  ])("%j", (text, argv, script, title) => {
    const step = run(text);
    expect(step).toMatchObject({ argv, title });
    expect(step.script).toEqual(script);
  });

  test.each([
    ["target=/a", { kind: "bind", target: "/a", source: "/", isReadOnly: true }],
    ["type=bind,src=../x/,dst=b,rw", { kind: "bind", target: "/w/b", source: "/x", isReadOnly: false }],
    ["target=/a,readonly=false", { kind: "bind", isReadOnly: false }],
    ["target=/a,from=other", { kind: "bind", from: { kind: "stage", index: 0 } }],
    ["target=/a,from=scratch", { from: { kind: "scratch" } }],
    ["target=/a,from=busybox", { from: { kind: "image", reference: { value: { tag: "latest" } } } }],
    [
      "type=cache,target=$T",
      {
        ...{ kind: "cache", target: "/var/t", id: "/var/t", source: "/", isReadOnly: false },
        ...{ sharing: "shared", mode: 0o755, uid: 0, gid: 0 },
      },
    ],
    [
      "type=cache,target=/a,id=i,sharing=locked,mode=1777,uid=1,gid=2,ro",
      { id: "i", sharing: "locked", mode: 0o1777, uid: 1, gid: 2, isReadOnly: true },
    ],
    ["type=tmpfs,target=/a,size=1m", { kind: "tmpfs", target: "/a", size: 2 ** 20 }],
  ] as const)("a mount %s", (options, mount) => {
    const text = `FROM a AS other\nFROM a\nENV T=/var/t\nWORKDIR /w\nRUN --mount=${options} x`;
    const step = planned(text).steps.at(-1) as RunStep;
    expect(step.mounts).toHaveLength(1);
    expect(step.mounts[0]).toMatchObject(mount as object);
  });

  test.each([
    ["type=volume,target=/a", 'unsupported mount type "volume"'],
    ["type=secret,id=a", "RUN --mount=type=secret is not supported"],
    ["type=ssh", "RUN --mount=type=ssh is not supported"],
    ["target=/", 'invalid mount target "/"'],
    ["target=/a,sourec=b", "unexpected key 'sourec' in 'sourec=b'; is source meant?"],
    ["target", "invalid field 'target' must be a key=value pair"],
    ["target=/a,ro=maybe", "invalid value for readonly: maybe"],
    ["target=/a,mode=755", 'mode not allowed for "bind" type mounts'],
    ["target=/a,size=1", "unexpected key 'size' for mount type 'bind'"],
    ["type=tmpfs,target=/a,size=x", "invalid value for size: x"],
    ["type=tmpfs,target=/a,sharing=shared", "invalid cache sharing set for tmpfs mount"],
    ["type=cache,target=/a,sharing=all", 'unsupported sharing value "all"'],
    ["type=cache,target=/a,uid=root", "invalid value root for uid"],
  ])("a mount %s is refused", (options, sentence) => {
    expect(() => steps(`RUN --mount=${options} x`)).toThrow(`F:2:1: ${sentence}`);
  });
});

describe("COPY and ADD", () => {
  test.each([
    ["COPY a b/ /c", { sources: [{ path: "a" }, { path: "b" }], destination: "/c" }],
    ["COPY . .", { sources: [{ path: "" }], destination: "/w/" }],
    ["COPY /../a ../c/", { sources: [{ path: "a" }], destination: "/c/" }],
    ["COPY a .", { destination: "/w/", createdBy: "COPY a . # buildkit" }],
    ["COPY a /c/.", { destination: "/c/" }],
    ["COPY a /", { destination: "/" }],
    [
      "COPY $A/*.t? $A",
      { sources: [{ path: "v/*.t?" }], destination: "/w/v", createdBy: "COPY v/*.t? v # buildkit" },
    ],
    [
      "COPY --parents a/./b/c /d",
      { sources: [{ path: "a/b/c", below: "b/c" }], createdBy: "COPY --parents a/./b/c /d # buildkit" },
    ],
    ["COPY --parents a/b /d", { sources: [{ path: "a/b", below: "a/b" }] }],
    [
      "COPY --chown=$A:1 --chmod=0755 --link --exclude=*.o a /c",
      {
        ...{ chown: "v:1", chmod: 0o755, link: true, excludes: ["*.o"] },
        createdBy: "COPY --chown=v:1 --chmod=0755 a /c # buildkit",
      },
    ],
    ["COPY --from=other a /c", { from: { kind: "stage", index: 0 } }],
    ["COPY --from=0 a /c", { from: { kind: "stage", index: 0 } }],
    ["COPY --from=busybox a /c", { from: { kind: "image", platform: AMD64 } }],
    [
      "COPY <<E a /c/\n$A 'b'\nE",
      { sources: [{ path: "a" }, { kind: "inline", name: "E", content: "v 'b'\n" }] },
    ],
    ["COPY <<'E' /c\n$A\nE", { sources: [{ content: "$A\n" }], createdBy: "COPY <<E /c # buildkit" }],
    [
      "ADD https://a/b%20c/d%20e.tar?x /c",
      { kind: "add", sources: [{ kind: "url", url: "https://a/b%20c/d%20e.tar?x", name: "d e.tar" }] },
    ],
    ["ADD https://a /c", { sources: [{ name: "__unnamed__" }] }],
    [`ADD --checksum=sha256:${"0".repeat(64)} https://a/b /c`, { checksum: `sha256:${"0".repeat(64)}` }],
  ] as const)("%s", (text, expected) => {
    const { steps } = planned(`FROM a AS other\nFROM a\nENV A=v\nWORKDIR /w\n${text}`);
    expect(steps.at(-1)).toMatchObject(expected as object);
  });

  test.each([
    ["COPY https://a/b /c", "source can't be a URL for COPY"],
    ["COPY --chmod=u+x a /c", "invalid chmod parameter: 'u+x'"],
    ["COPY --chmod=17777 a /c", "invalid chmod parameter: '17777'"],
    ["ADD --checksum=sha256:1 https://a/b /c", "--checksum is sha256: and 64 hexadecimal digits"],
    ["ADD --checksum=sha256:1 a /c", "checksum requires HTTP(S)"],
    ["ADD --checksum=sha256:1 https://a/b d /c", "checksum can't be specified for multiple sources"],
    ["COPY ${A a /c", "syntax error: missing '}'"],
  ])("%s is refused", (text, sentence) => {
    expect(() => steps(text)).toThrow(`F:2:1: ${sentence}`);
  });
});

describe("the configuration", () => {
  const BASE: ConfigDocument = {
    created: "2020-01-01T00:00:00Z",
    author: "base",
    config: {
      Env: ["PATH=/bin", "A=1"],
      Cmd: ["base"],
      Entrypoint: ["entry"],
      Labels: { of: "base" },
      ExposedPorts: { "1/tcp": {} },
      Volumes: { "/b": {} },
      WorkingDir: "/base",
    },
    history: [{ created_by: "base" }],
  };

  test("of scratch is a path and a working directory", () => {
    expect(planned("FROM scratch").result.config).toEqual({ config: { Env: [PATH], WorkingDir: "/" } });
  });

  test("of a base stays but for its time", () => {
    const { created: _, ...kept } = BASE;
    expect(config("", {}, BASE)).toEqual(kept);
  });

  test.each([
    ['ENV A=2 B="3 4"', { Env: ["PATH=/bin", "A=2", "B=3 4"] }, "ENV A=2 B=3 4"],
    ["ENV A  x  y", { Env: ["PATH=/bin", "A=x  y"] }, "ENV A=x  y"],
    ["CMD a b", { Cmd: ["/bin/sh", "-c", "a b"], Entrypoint: ["entry"] }, 'CMD ["/bin/sh" "-c" "a b"]'],
    ['CMD ["a", "b\\"\\n\\u0001é"]', { Cmd: ["a", 'b"\n\u0001é'] }, 'CMD ["a" "b\\"\\n\\x01é"]'],
    ['ENTRYPOINT ["a"]', { Entrypoint: ["a"], Cmd: undefined }, 'ENTRYPOINT ["a"]'],
    ["LABEL b=2 \"c d\"='3'", { Labels: { of: "base", b: "2", "c d": "3" } }, "LABEL b=2 c d=3"],
    [
      "EXPOSE 80-81 53/UDP 127.0.0.1:9:7",
      { ExposedPorts: { "1/tcp": {}, "7/tcp": {}, "53/udp": {}, "80/tcp": {}, "81/tcp": {} } },
      "EXPOSE [7/tcp 53/udp 80/tcp 81/tcp]",
    ],
    ["VOLUME /x /y", { Volumes: { "/b": {}, "/x": {}, "/y": {} } }, "VOLUME [/x /y]"],
    ["USER ${A}:2", { User: "1:2" }, "USER 1:2"],
    ["WORKDIR x", { WorkingDir: "/base/x" }, "WORKDIR /base/x"],
    ["WORKDIR /x/", { WorkingDir: "/x/" }, "WORKDIR /x/"],
    ["STOPSIGNAL SIGUSR1", { StopSignal: "SIGUSR1" }, "STOPSIGNAL SIGUSR1"],
    ['SHELL ["/bin/bash", "-c"]', { Shell: ["/bin/bash", "-c"] }, "SHELL [/bin/bash -c]"],
    [
      "HEALTHCHECK --interval=1h30m --timeout=1500ms --retries=2 CMD a",
      { Healthcheck: { Test: ["CMD-SHELL", "a"], Interval: 5400e9, Timeout: 15e8, Retries: 2 } },
      "HEALTHCHECK {Test:[CMD-SHELL a] Interval:1h30m0s Timeout:1.5s StartPeriod:0s StartInterval:0s Retries:2}",
    ],
    [
      "HEALTHCHECK NONE",
      { Healthcheck: { Test: ["NONE"] } },
      "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
    ],
    ["ARG X=1 Y", {}, "ARG X=1 Y"],
  ])("%s", (text, process, createdBy) => {
    const plan = planned(`FROM base\n${text}`, {}, BASE);
    for (const [key, value] of Object.entries(process))
      expect(plan.result.config.config?.[key]).toEqual(value);
    expect(plan.steps.map((step) => step.createdBy)).toEqual([createdBy]);
  });

  test("a CMD of the same stage stays where ENTRYPOINT follows", () => {
    expect(config('CMD ["c"]\nENTRYPOINT ["e"]', {}, BASE).config).toMatchObject({
      Cmd: ["c"],
      Entrypoint: ["e"],
    });
    const child = planned('FROM base AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["e"]', {}, BASE).result.config
      .config;
    expect(child).not.toHaveProperty("Cmd");
  });

  test("MAINTAINER is the author", () => {
    expect(config("MAINTAINER  A  <a@b>").author).toBe("A  <a@b>");
  });

  test("WORKDIR makes its directory, but not the root", () => {
    expect(steps("USER u\nWORKDIR /a/../b/\nWORKDIR /")).toMatchObject([
      { kind: "configure" },
      { kind: "workdir", path: "/b", user: "u" },
      { kind: "configure", createdBy: "WORKDIR /" },
    ]);
  });

  test("ONBUILD waits for the stage that begins with it", () => {
    const base = { config: { OnBuild: ["ARG X=1", "RUN echo $X"] } };
    const text = "FROM base AS a\nONBUILD ENV Y=2\nFROM a\nLABEL y=$Y";
    const first = planned(text, { target: "a" }, base);
    expect(first.steps.map(({ title, at }) => [title, at.line])).toEqual([
      ["ONBUILD ARG X=1", 1],
      ["ONBUILD RUN echo 1", 1],
    ]);
    expect(first.result.config.config?.["OnBuild"]).toEqual(["ENV Y=2"]);
    const second = planned(text, {}, base);
    expect(second.result.config.config).toMatchObject({ Env: [PATH, "Y=2"], Labels: { y: "2" } });
    expect(second.result.config.config).not.toHaveProperty("OnBuild");
  });

  test.each([
    ["EXPOSE 80/x", 'invalid port: "80/x": invalid proto: x'],
    ["EXPOSE 70000", 'invalid port: "70000": invalid containerPort: 70000'],
    ["EXPOSE 9-8", "invalid containerPort: 9-8"],
    ["EXPOSE a", "invalid containerPort: a"],
    ["STOPSIGNAL SIGNO", "invalid signal: SIGNO"],
    ["VOLUME $NONE", "VOLUME specified can not be an empty string"],
  ])("%s is refused", (text, sentence) => {
    expect(() => config(text)).toThrow(`F:2:1: ${text.startsWith("EXPOSE") ? "" : sentence}`);
    expect(() => config(text)).toThrow(sentence);
  });

  test("values and ports do not grow without end", () => {
    const doubled = `ENV A=${"x".repeat(60_000)}\n${"ENV A=$A$A\n".repeat(4)}`;
    expect(() => config(doubled + "LABEL a=$A b=$A\n".repeat(20))).toThrow("come to more than 16 MiB");
    expect(() => config(`EXPOSE${" 0-65535".repeat(4)}`)).toThrow(
      "F:2:1: it names more ports than there are",
    );
  });

  test("a base's trigger that is wrong is told of at FROM", () => {
    expect(() => config("", {}, { config: { OnBuild: ["CPOY a b"] } })).toThrow(
      'F:1:1: the base\'s ONBUILD "CPOY a b": unknown instruction: CPOY; is COPY meant?',
    );
  });
});
