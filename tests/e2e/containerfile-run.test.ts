import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProcessDocument } from "../../src/build/image.ts";
import { type BunnyHome, type Caller, makeBunnyHome } from "../harness/bunny.ts";
import { succeed, until } from "../harness/command.ts";
import {
  BOX,
  bringImage,
  buildFiles,
  buildIn,
  CONTEXT_FILES,
  imageFiles,
  prepare,
} from "../harness/containerfile.ts";

setDefaultTimeout(180_000);

let directory: string;
let context: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "urunc-containerfile-"));
  // Whoever builds can read it.
  chmodSync(directory, 0o755);
  context = join(directory, "context");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const callers: Caller[] = ["root", "an ordinary user"];

describe.each(callers)("built by %s", (caller) => {
  let home: BunnyHome;
  beforeAll(async () => {
    home = await makeBunnyHome(caller);
    await bringImage(home, "busybox");
  }, 600_000);
  afterAll(() => home?.remove());

  /** Nothing is left of a machine, nor of a build that failed. */
  const expectNothingLeft = async () => {
    expect(readdirSync(home.machines)).toEqual([]);
    expect(await home.succeed("ps", "-aq")).toBe("");
    expect(existsSync(join(home.store, "ingest"))).toBe(false);
  };

  test("owners and modes are what the steps say, whoever builds", async () => {
    await prepare(context, CONTEXT_FILES);
    const { files } = await buildFiles(
      home,
      context,
      `FROM ${BOX}
      COPY --chown=3:4 g /a
      RUN mkdir /b && chown 5:6 /b && mknod /b/null c 1 3 && echo x >/b/x && chown 70000:80000 /b/x && chmod 6711 /b/x
      USER user
      RUN id -u >/tmp/id`,
    );
    const of = (path: string) => JSON.parse(files[path] as string) as Record<string, unknown>;
    expect(of("a")).toMatchObject({ owner: "3:4", mode: 0o644 });
    expect(of("b")).toMatchObject({ owner: "5:6" });
    expect(of("b/x")).toMatchObject({ owner: "70000:80000", mode: 0o6711 });
    expect(of("b/null")).toMatchObject({ kind: "character", device: "1:3" });
    expect(of("tmp/id")).toMatchObject({ owner: "1000:1000" });
    // What the machine mounts leaves nothing in the image.
    const before = await buildFiles(home, context, `FROM ${BOX}`);
    const made = Object.keys(files).filter((path) => before.files[path] === undefined);
    expect(made).toEqual(["a", "b", "b/null", "b/x", "tmp/id"]);
    await expectNothingLeft();
  });

  test("what RUN writes is shown; it has no network where none is wanted", async () => {
    await prepare(context, "true");
    const text = `FROM ${BOX}
      RUN echo to-stdout; echo to-stderr >&2; printf unfinished
      RUN ip -o link | cut -d: -f2 | tr '\\n' .
      RUN --network=none ip -o link | cut -d: -f2 | tr '\\n' .`;
    const { stderr } = await buildIn(home, context, text);
    expect(stderr).toMatch(/^\[stage-0 1\/3\] RUN echo[^\n]*\n/);
    for (const line of ["to-stdout", "to-stderr", "unfinished"]) expect(stderr).toContain(`\n${line}\n`);
    expect(stderr).toContain("\n lo. eth0.\n");
    expect(stderr).toContain("\n lo.\n");
    const none = await buildIn(home, context, text, ["--network", "none"]);
    expect(none.stderr).not.toContain("eth0");
  });

  test("a RUN that fails says where and how, and leaves nothing", async () => {
    await prepare(context, "true");
    const failed = await buildIn(home, context, `FROM ${BOX}\nRUN echo why; \\\n  exit 3\n`, [
      "-t",
      "failed",
    ]);
    expect(failed.exitCode).toBe(1);
    expect(failed.stdout).toBe("");
    expect(failed.stderr).toContain("\nwhy\n");
    expect(failed.stderr).toMatch(
      /\n[^\n]*Containerfile:2:1: process "\/bin\/sh -c echo why;[^\n]*exit 3" did not complete successfully: exit code: 3\n$/,
    );
    const missing = await buildIn(home, context, `FROM ${BOX}\nRUN ["/missing", "x"]\n`);
    expect(missing.stderr).toMatch(
      /:2:1: process "\/missing x" could not be started: .*no such file or directory\n$/,
    );
    const nobody = await buildIn(home, context, `FROM ${BOX}\nUSER nobody-knows\nRUN true\n`);
    expect(nobody.stderr).toContain(":3:1: ");
    expect(nobody.stderr).toContain("unable to find user nobody-knows");
    expect(await home.succeed("images")).not.toContain("failed");
    await expectNothingLeft();
  });

  test("an interrupt ends a RUN and leaves nothing; so does a kill, once somebody looks", async () => {
    await prepare(context, "true");
    const file = join(home.directory, "Containerfile");
    for (const signal of ["SIGINT", "SIGKILL"] as const) {
      writeFileSync(file, `FROM ${BOX}\nRUN echo begun; sleep 1000\n`);
      const child = Bun.spawn([...home.argv, "build", "--no-cache", "-f", file, context], {
        env: home.environment,
        stdout: "ignore",
        stderr: "pipe",
      });
      const reader = child.stderr.getReader();
      let said = "";
      await until("it has begun", async () => {
        said += new TextDecoder().decode((await reader.read()).value);
        return said.includes("\nbegun\n");
      });
      child.kill(signal);
      await child.exited;
      if (signal === "SIGINT") expect(child.exitCode).toBe(130);
      await until("nothing is left", async () => {
        await home.run(["ps", "-a"]);
        return readdirSync(home.machines).length === 0;
      });
    }
    expect(await home.succeed("ps", "-aq")).toBe("");
    await home.run(["prune"]);
    await expectNothingLeft();
  });

  test("steps are not done again, until what they depend on changes", async () => {
    await prepare(context, "echo 1 >a; echo 1 >b");
    const text = `FROM ${BOX}\nRUN date +%N >/one\nCOPY a /a\nRUN date +%N >/two\nCOPY b /b\n`;
    const digest = async (...flags: string[]) => {
      const { stdout, stderr } = await buildIn(home, context, text, flags);
      return { digest: stdout, stderr, again: stderr.match(/\(as before\)/g)?.length ?? 0 };
    };
    const first = await digest();
    if (first.digest === "") throw new Error(first.stderr);
    expect(await digest()).toMatchObject({ digest: first.digest, again: 4 });
    await prepare(context, "touch -d 2001-01-01 a b; chmod 600 b");
    const changed = await digest();
    expect(changed.again).toBe(3);
    await prepare(context, "echo 2 >a; chmod 644 b");
    expect((await digest()).again).toBe(1);
    await prepare(context, "echo 1 >a");
    expect(await digest()).toMatchObject({ digest: first.digest, again: 4 });
    const anew = await digest("--no-cache");
    expect(anew.again).toBe(0);
    expect(anew.digest).not.toBe(first.digest);
  });

  test("the same input gives the same image, RUN among it, where the time is given", async () => {
    await prepare(context, CONTEXT_FILES);
    const file = join(home.directory, "Containerfile");
    writeFileSync(
      file,
      `FROM ${BOX}\nRUN mkdir -p /r/x && echo x >/r/x/y && rm -r /var\nCOPY . /a\nWORKDIR /w\n`,
    );
    const env = { SOURCE_DATE_EPOCH: "1000000000" };
    const digest = async () => {
      const words = ["build", "-q", "--no-cache", "-f", file, context];
      const { stdout, stderr } = await home.run(words, { env });
      expect(stderr).toBe("");
      return stdout;
    };
    const first = await digest();
    expect(first).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    await prepare(context, "touch f d d/x");
    expect(await digest()).toBe(first);
  });

  test("mounts of a RUN are there for it, and in no image", async () => {
    await prepare(context, `${CONTEXT_FILES}; echo d/x >.dockerignore`);
    const text = (number: number) => `FROM ${BOX} AS one
      RUN mkdir /o && echo one >/o/f && chown 7:8 /o/f
      FROM ${BOX}
      RUN --mount=target=/c --mount=from=one,source=/o,target=/new/o,rw --mount=type=cache,target=/var/cache/x \\
          --mount=type=tmpfs,target=/t,size=1m \\
          echo ${number} >>/var/cache/x/numbers && cat /var/cache/x/numbers && \\
          ls /c/d && stat -c %u:%g /new/o/f && echo 2 >/new/o/f && cat /new/o/f && rm /new/o/f && \\
          ! touch /c/x 2>/dev/null && echo t >/t/t && df -m /t | tail -1 | awk '{ print $2 "m" }' && echo kept >/new/kept
      RUN ls /new /t /c 2>&1 || true`;
    await home.run(["rmi", "none"]);
    const first = await buildIn(home, context, text(1));
    expect(first.stderr).toContain("\n1\nlx\nsub\n7:8\n2\n1m\n");
    expect(first.stderr).toContain("\nls: /t: No such file or directory\n");
    expect(first.stderr).toContain("\n/new:\nkept\n");
    expect((await buildIn(home, context, text(2))).stderr).toContain("\n1\n2\nlx\n");
    const { files } = await buildFiles(home, context, text(2));
    const made = Object.keys(files).filter((path) => /^(?:c|t|new|o|var\/cache)(?:\/|$)/.test(path));
    expect(made).toEqual(["new", "new/kept"]);
  });

  test("files that stand in the Containerfile, and programs", async () => {
    await prepare(context, "true");
    const text = `FROM ${BOX}
COPY --chmod=600 <<one <<'two' /files/
a $PATH
one
b $PATH
two
RUN <<end
echo first >/r
id -u >>/r
end
RUN <<end
#!/bin/sh -e
echo "$0" >>/r
end
RUN cat /r /files/one /files/two`;
    const { stderr } = await buildIn(home, context, text);
    expect(stderr).toMatch(/\nfirst\n0\n\/dev\/pipes\/end\na \/[^\n]*bin\nb \$PATH\n/);
  });
});

describe("what newer BuildKits have than the one here", () => {
  let home: BunnyHome;
  beforeAll(async () => {
    home = await makeBunnyHome("root");
  });
  afterAll(() => home?.remove());

  const madeBy = async (...instructions: string[]) => {
    const { files } = await buildFiles(home, context, ["FROM scratch", ...instructions, ""].join("\n"));
    return Object.keys(files).filter((path) => path !== "");
  };

  test("COPY --parents keeps the directories of the source's path, behind a pivot", async () => {
    await prepare(context, `${CONTEXT_FILES}; chmod 711 e`);
    expect(await madeBy("COPY --parents d/sub/y e/f /a/")).toEqual([
      ...["a", "a/d", "a/d/sub", "a/d/sub/y", "a/e", "a/e/f"],
    ]);
    expect(await madeBy("COPY --parents ./d/./sub/y /a/")).toEqual(["a", "a/sub", "a/sub/y"]);
    expect(await madeBy("COPY --parents */sub /a/")).toEqual(["a", "a/d", "a/d/sub", "a/d/sub/y"]);
    const { files } = await buildFiles(home, context, "FROM scratch\nCOPY --parents e/f /a/\n");
    expect(files["a/e"]).toContain(`"mode":${0o711},`);
  });

  test("COPY --exclude leaves out what it names, below each source", async () => {
    await prepare(context, CONTEXT_FILES);
    expect(await madeBy("COPY --exclude=sub/* --exclude=lx d /a")).toEqual(["a", "a/sub", "a/x"]);
    expect(await madeBy("COPY --exclude=**/x --exclude=*.tar* --exclude=f* . /a")).not.toContain("a/d/x");
    expect(await madeBy("COPY --exclude=sub --exclude=!sub/y d /a")).toEqual([
      "a",
      "a/lx",
      "a/sub",
      "a/sub/y",
      "a/x",
    ]);
    expect(await madeBy("COPY --exclude=f f g /a/")).toEqual(["a", "a/g"]);
  });

  test("COPY takes devices and pipes of a stage for what they are, and --chmod takes set-id bits away", async () => {
    await prepare(context, "mkfifo pipe; mknod null c 1 3; echo f >f; chmod 6755 f");
    const text =
      "FROM scratch AS one\nCOPY . /\nFROM scratch\nCOPY --from=one / /a\nCOPY --from=one --chmod=640 f /f\n";
    const { files } = await buildFiles(home, context, text);
    const of = (path: string) => JSON.parse(files[path] as string) as Record<string, unknown>;
    expect(of("a/null")).toMatchObject({ kind: "character", device: "1:3" });
    expect(of("a/pipe")).toMatchObject({ kind: "fifo" });
    expect(of("a/f")).toMatchObject({ mode: 0o6755 });
    expect(of("f")).toMatchObject({ mode: 0o640 });
  });

  test("ADD unpacks zstd, and leaves archives alone where that is said", async () => {
    await prepare(context, `${CONTEXT_FILES}; zstd -q t.tar`);
    expect(await madeBy("ADD t.tar.zst /a")).toEqual(["a", "a/d", "a/d/sub", "a/d/sub/y", "a/d/x", "a/f"]);
    expect(await madeBy("ADD --unpack=false t.tar.zst /a/")).toEqual(["a", "a/t.tar.zst"]);
  });

  test("an image for several platforms, where nothing has to be run", async () => {
    await prepare(context, CONTEXT_FILES);
    const layout = join(directory, "index");
    const text = "FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\n";
    const words = ["--plain", "--platform", "linux/amd64,linux/arm64", "-o", `oci:${layout}`];
    expect((await buildIn(home, context, text, words)).exitCode).toBe(0);
    const index = JSON.parse(await home.succeed("inspect", "--raw", `oci:${layout}`)) as {
      manifests: { platform: { architecture: string } }[];
    };
    expect(index.manifests.map(({ platform }) => platform.architecture)).toEqual(["amd64", "arm64"]);
    const run = await buildIn(home, context, "FROM scratch\nRUN true\n", ["--platform", "linux/arm64"]);
    expect(run.stderr).toMatch(/:2:1: RUN for linux\/arm64 is not supported on linux\/amd64: /);
  });
});

describe("what is made of it", () => {
  let root: BunnyHome;
  beforeAll(async () => {
    root = await makeBunnyHome("root");
    await bringImage(root, "busybox");
  }, 600_000);
  afterAll(() => root?.remove());

  test("the image is booted with our kernel, unless it brings its own", async () => {
    await prepare(context, "true");
    const text = `FROM ${BOX}\nRUN echo content >/file\nCMD ["cat", "/file"]\n`;
    expect((await buildIn(root, context, text, ["-t", "bootable"])).exitCode).toBe(0);
    expect((await root.run(["run", "--rm", "bootable"])).stdout).toBe("content\n");
    const config = JSON.parse(await root.succeed("inspect", "--config", "bootable")) as {
      config: ProcessDocument;
    };
    expect(config.config.Labels?.["com.urunc.unikernel.binary"]).toBe("/.boot/kernel");
    expect(config.config.Entrypoint).toEqual(["/urunit"]);
  });

  test("what its labels say of how it is booted is kept, and the rest is said for them", async () => {
    await prepare(context, "true");
    const built = async (name: string, more: string) => {
      const layout = join(directory, name);
      const text = `FROM ${BOX}\nCMD ["true"]\n${more}\n`;
      expect((await buildIn(root, context, text, ["-o", `oci:${layout}`])).exitCode).toBe(0);
      return imageFiles(layout);
    };
    const said = (labels: Record<string, string>) =>
      Object.fromEntries(Object.entries(labels).map(([key, value]) => [`com.urunc.unikernel.${key}`, value]));
    const rest = { unikernelType: "linux", mountRootfs: "true" };

    const other = await built("other", "LABEL com.urunc.unikernel.hypervisor=firecracker");
    expect(other.files[".boot/kernel"]).toBeDefined();
    expect(other.process.Labels).toEqual(
      said({ ...rest, hypervisor: "firecracker", binary: "/.boot/kernel" }),
    );

    const own = await built("own", "LABEL com.urunc.unikernel.binary=/mine");
    expect(own.files[".boot"]).toBeUndefined();
    expect(own.files["urunit"]).toBeDefined();
    expect(own.process.Labels).toEqual(said({ ...rest, hypervisor: "qemu", binary: "/mine" }));

    const brings = await built("brings", "RUN echo mine >/urunit");
    expect(brings.process.Entrypoint ?? []).toEqual(other.process.Entrypoint ?? []);
    expect(brings.files["urunit"]).not.toEqual(own.files["urunit"]);
  });

  test("the machine's root as a file", async () => {
    await prepare(context, "true");
    const [block, kernel] = [join(directory, "block"), join(directory, "kernel")];
    const text = `FROM ${BOX}\nRUN echo content >/file\n`;
    const { exitCode } = await buildIn(root, context, text, [
      "-o",
      `block:${block}`,
      "-o",
      `kernel:${kernel}`,
    ]);
    expect(exitCode).toBe(0);
    expect(await succeed(["debugfs", "-R", "cat /file", block])).toBe("content\n");
    expect(readFileSync(kernel).subarray(1, 4).toString()).toBe("ELF");
  });

  test.each([
    ["COPY none /a", "there is no /none in the build's context"],
    ["COPY ../../etc/passwd /a", "there is no /etc/passwd in the build's context"],
    ["COPY f /etc/passwd/x", 'a file "/etc/passwd/x"'],
    ["COPY d /bin/sh", '"/bin/sh"'],
    ["COPY --chown=none f /a", "unable to find user none"],
    ["ADD https://example.org/x /a", "ADD of a URL is not supported: fetch https://example.org/x"],
    ["ADD broken.tar.gz /a", "the archive broken.tar.gz cannot be unpacked"],
    ["ADD t.tar.xz /a", "t.tar.xz is compressed with xz"],
    ["WORKDIR /etc/passwd/x", "WORKDIR /etc/passwd/x is not possible"],
    ["RUN --mount=type=secret,id=x true", "RUN --mount=type=secret is not supported"],
    ["RUN --mount=from=scratch,source=/x,target=/y true", "there is no /x in scratch"],
  ])("%s is refused with its place", async (instruction, why) => {
    await prepare(
      context,
      `${CONTEXT_FILES}; head -c 300000 /dev/urandom >r; tar -cz r | head -c 200000 >broken.tar.gz; xz -k t.tar`,
    );
    const { exitCode, stderr } = await buildIn(root, context, `FROM ${BOX}\n${instruction}\n`);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("Containerfile:2:");
    expect(stderr).toContain(why);
  });
});
