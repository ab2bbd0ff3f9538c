import { afterAll, afterEach, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BunnyHome, makeBunnyHome } from "../harness/bunny.ts";
import {
  BOX,
  bringImage,
  buildFiles,
  CONTEXT_FILES,
  DEBIAN,
  type ImageFiles,
  imageFiles,
  prepare,
} from "../harness/containerfile.ts";
import type { Docker } from "../harness/docker.ts";
import { startLoadedDocker } from "../harness/loaded-docker.ts";

// A Containerfile says what an image is, whoever builds it: what ours have is held against the images that the real
// BuildKit makes of the same ones. Its RUNs are containers of the host's kernel, ours are machines.

setDefaultTimeout(180_000);

let docker: Docker;
let home: BunnyHome;
beforeAll(async () => {
  docker = await startLoadedDocker("containerfile", ["busybox", "debian"]);
  home = await makeBunnyHome("root");
  await bringImage(home, "busybox");
  await bringImage(home, "debian");
}, 600_000);
afterAll(async () => {
  await home?.remove();
  await docker?.stop();
});

let directory: string;
let context: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-containerfile-"));
  context = join(directory, "context");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;

/** What BuildKit makes of a Containerfile. */
async function buildkit(text: string, flags: readonly string[]): Promise<ImageFiles> {
  const [name, archive, layout] = [
    `built-${++count}`,
    join(directory, "docker.tar"),
    join(directory, "docker"),
  ];
  writeFileSync(join(directory, "Containerfile"), text);
  const words = [
    "build",
    "--quiet",
    "--tag",
    name,
    "--file",
    join(directory, "Containerfile"),
    ...flags,
    context,
  ];
  await docker.succeed(words, {
    env: { PATH: process.env["PATH"] ?? "", HOME: directory, DOCKER_BUILDKIT: "1" },
  });
  await docker.succeed(["save", "--output", archive, name]);
  await home.succeed("copy", "-q", `docker-archive:${archive}`, `oci:${layout}`);
  return imageFiles(layout);
}

/** What BuildKit's runc makes where it mounts, and what is no image's matter. */
const OF_DOCKER = /^(?:dev|proc|sys|run|etc)(?:\/|$)/;

function comparable({ files, process }: ImageFiles): ImageFiles {
  const kept = Object.entries(files).filter(([path]) => path !== "" && !OF_DOCKER.test(path));
  // BuildKit says so that there is none.
  const { OnBuild, ...said } = process;
  return {
    files: Object.fromEntries(kept),
    process: OnBuild === null ? said : { ...said, ...(OnBuild === undefined ? {} : { OnBuild }) },
  };
}

/** Builds with both, which must agree; gives ours. */
async function same(text: string, flags: readonly string[] = []): Promise<ImageFiles> {
  const theirs = await buildkit(text, flags);
  const ours = await buildFiles(home, context, text, flags);
  expect(comparable(ours)).toEqual(comparable(theirs));
  return ours;
}

test("COPY: files, directories, wildcards, links, owners and modes", async () => {
  await prepare(context, CONTEXT_FILES);
  await same(`FROM ${BOX}
      COPY f /a/new
      COPY --chown=user f /b/deep/er
      COPY --chown=77 f d /c/
      COPY --chown=user:adm d /e
      COPY --chmod=640 g /g/f
      COPY g lf /h/
      COPY ld /i
      COPY l* /j/
      COPY [fg] d/* /k/
      COPY --chown=5:6 . /l
      COPY empty /m/
      COPY d /tmp
      COPY d /usr/new/
      COPY f hard /n/
      WORKDIR /w
      COPY f x/
      COPY d y/z
      COPY f .`);
});

test("COPY onto what is there: through links, into directories, over files", async () => {
  await prepare(context, CONTEXT_FILES);
  await same(`FROM ${BOX}
      RUN mkdir -p /a/sub /real /o/d && chmod 777 /a/sub && chown 5:5 /a/sub && echo old >/a/x && ln -s /real /l && \\
          ln -s /none/../real/dangling /m && echo old >/real/old && ln -s /real/old /old && ln -s /real/old /o/x
      COPY d /a
      COPY d /l
      COPY f /old
      COPY d /o
      COPY f /o/d`);
});

test("what a stage and an image have is copied with its owners and hard links", async () => {
  await prepare(context, CONTEXT_FILES);
  await same(`FROM ${BOX} AS one
      RUN mkdir -p /od/in && chmod 711 /od /od/in && chown 7:8 /od /od/in && echo x >/od/x && chown 9:9 /od/x && \\
          ln /od/x /od/in/same && ln -s x /od/l && chmod 6755 /od/x
      FROM scratch AS two
      COPY --from=one /od /kept
      FROM ${BOX}
      COPY --from=one /od /b
      COPY --from=two /kept/x /kept/l /c/
      COPY --from=two --chown=user / /d
      COPY --from=${DEBIAN} /etc/debian_version /v`);
});

test("ADD unpacks archives of the context, and nothing else", async () => {
  await prepare(context, CONTEXT_FILES);
  await same(`FROM ${BOX}
      RUN mkdir -p /c/f /c/d/sub && chmod 700 /c/d/sub
      ADD t.tar.gz /a
      ADD --chown=3:4 t.tar f.gz /b/b/
      ADD t.tar /c
      ADD d g /d/`);
});

test("RUN: what was made, changed and removed, whatever it is", async () => {
  await prepare(context, "true");
  await same(`FROM ${BOX}
      RUN mkdir -p /a/b/c && echo 1 >/a/1 && echo 2 >/a/b/2 && ln /a/1 /a/hard && echo 3 >/a/b/c/3
      RUN rm /a/1 && rm -r /a/b && mkdir -p /a/b/new && echo 4 >>/a/hard
      RUN rm -r /var && mkdir -m 1777 /var && echo >/var/x && rm -r /home && echo file >/home
      RUN chmod 4755 /a/hard && chown -R 1000:100 /a/b && mv /a/b /a/moved && ln -s nowhere /a/link && \\
          mknod /a/device b 7 300 && mkfifo /a/pipe && truncate -s 5M /a/sparse && echo end >>/a/sparse
      RUN true
      RUN touch "/a/ü \${HOSTNAME:+}with 'quotes'" && chmod 0 /a/moved/new && mkdir /a/.hidden`);
});

test("variables, users, directories and shells are the stage's", async () => {
  await prepare(context, "true");
  const { files } = await same(
    `ARG BASE=${BOX}
      FROM \${BASE} AS base
      ARG WHO=world OTHER
      ENV A="a b" PATH=/usr/bin:/bin:/x
      RUN echo "$A $WHO $OTHER $PATH $HOME $PWD" >/1 && id >/id
      USER user
      WORKDIR /w/x
      RUN echo "$HOME $PWD" >2 && id >id
      USER 77
      RUN id >/tmp/77
      USER 0:adm
      SHELL ["/bin/sh", "-uc"]
      RUN id >/tmp/adm
      FROM base
      ENV WHO=env
      RUN ["/bin/sh", "-c", "echo $WHO >/3; exec env >/env"]
      CMD ["x"]`,
    ["--build-arg", "OTHER=given"],
  );
  expect(Object.keys(files)).toContain("w/x/2");
});

test(".dockerignore leaves out what it says, whatever is asked for", async () => {
  await prepare(
    context,
    `${CONTEXT_FILES}; printf '%s\\n' '**/x' d/sub '!d/sub/y' '*.tar' '# not' hard >.dockerignore`,
  );
  await same(`FROM ${BOX}\nCOPY . /a\nCOPY d /b\nCOPY [df]* /c/`);
});

test("a base that Debian's packages made, and a stage in the middle", async () => {
  await prepare(context, "echo 'echo from the context' >script");
  await same(
    `FROM ${DEBIAN} AS base
      COPY script /usr/local/bin/script
      RUN ["/bin/bash", "-c", "set -e; bash /usr/local/bin/script >/out; shopt -s nullglob; echo \${BASH_VERSINFO[0]} >>/out"]
      RUN find /usr/bin -name 'b*' | sort >/list; rm -rf /usr/share/bug /var/lib/dpkg/info; ls -la /dev/fd/ >/dev/null
      FROM base AS unused
      RUN exit 1`,
    ["--target", "base"],
  );
});
