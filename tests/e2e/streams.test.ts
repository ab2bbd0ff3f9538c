import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { succeed, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import { privateKiB } from "../harness/private-memory.ts";
import { runsMachines, runtimePath } from "../harness/runtime.ts";
import { pattern, putPattern, runPiped, sha256 } from "../harness/streams.ts";

setDefaultTimeout(120_000);

const MIB = 1024 * 1024;

let containers: Containers;

beforeAll(async () => {
  containers = await openContainers("debian");
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

/** `create` and `start` with descriptors of the test's own, as a client that goes away at once does it. */
async function startWith(id: string, directory: string, stdout: number, stderr: number): Promise<void> {
  const base = [runtimePath, "--root", containers.runtime.root];
  const create = Bun.spawn([...base, "create", "--bundle", directory, id], {
    stdin: "ignore",
    stdout,
    stderr,
  });
  expect(await create.exited).toBe(0);
  await containers.runtime.succeed(["start", id]);
}

/** A named pipe, open for reading without waiting for a writer. */
async function makePipe(name: string): Promise<{ path: string; reader: number }> {
  const path = join(containers.runtime.directory, name);
  await succeed(["mkfifo", path]);
  return { path, reader: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) };
}

/** What a pipe has until its last writer is gone. */
async function readToEnd(reader: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const part = new Uint8Array(65536);
    try {
      const length = readSync(reader, part);
      if (length === 0) return Buffer.concat(parts);
      parts.push(part.subarray(0, length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      await Bun.sleep(5);
    }
  }
}

/** KiB of the stand-in that it shares with nobody. */
function standinKiB(id: string): number {
  const pid = processesInCgroup(`/${id}`).find((pid) => processName(pid).startsWith("urunc-standin"));
  return privateKiB(pid);
}

describe("a reader that stops reading", () => {
  test("holds up its own stream and no other, loses nothing, and costs no memory", async () => {
    const script =
      "cat /pattern & for i in $(seq 100); do echo $i >&2; done; echo all >&2; wait; echo end >&2";
    const container = await containers.plan(["bash", "-c", script]);
    const { id, bundle } = container;
    const wanted = putPattern(bundle, "pattern", 4 * MIB);
    const { path, reader } = await makePipe("blocked");
    const errors = join(containers.runtime.directory, "errors");
    const [out, err] = [openSync(path, "w"), openSync(errors, "w")];
    await startWith(id, bundle.directory, out, err);
    closeSync(out);
    closeSync(err);
    await until("standard error is whole", () => readFileSync(errors, "utf8").endsWith("100\nall\n"));
    // The other is full everywhere by now, and stays so.
    await Bun.sleep(1000);
    if (runsMachines) expect(standinKiB(id)).toBeLessThan(1024);
    expect((await containers.runtime.state(id)).status).toBe("running");
    const bytes = await readToEnd(reader);
    closeSync(reader);
    expect(bytes.length).toBe(4 * MIB);
    expect(sha256(bytes)).toBe(wanted);
    await containers.runtime.untilStatus(id, "stopped");
    expect(readFileSync(errors, "utf8")).toEndWith("all\nend\n");
  });

  test("of standard input: what is not read yet stays with its writer", async () => {
    const container = await containers.plan(["bash", "-c", "sleep 2; sha256sum"]);
    const child = runPiped(containers.runtime, container);
    const bytes = pattern(4 * MIB);
    child.stdin.write(bytes);
    child.stdin.end();
    expect(await new Response(child.stdout).text()).toBe(`${sha256(bytes)}  -\n`);
    expect(await child.exited).toBe(0);
  });
});

describe("output just before the end", () => {
  test("8 MiB and an exit at once: all of it arrives, on both outputs", async () => {
    const container = await containers.plan(["sh", "-c", "cat /pattern >&2; cat /pattern; exit 7"]);
    const wanted = putPattern(container.bundle, "pattern", 8 * MIB);
    for (let round = 0; round < 5; round++) {
      const child = runPiped(containers.runtime, container);
      const [out, err, status] = await Promise.all([
        new Response(child.stdout).bytes(),
        new Response(child.stderr).bytes(),
        child.exited,
      ]);
      expect([status, out.length, sha256(out)]).toEqual([7, 8 * MIB, wanted]);
      // The application's alone: nothing of the runtime's own.
      expect(sha256(err)).toBe(wanted);
    }
  });

  test("files too: what was written just before is on the host when the container is gone", async () => {
    const script =
      "cp /pattern /copy; mkdir /d; for i in $(seq 50); do echo $i > /d/$i; done; mv /d /e; rm /pattern";
    const container = await containers.plan(["bash", "-c", script]);
    const wanted = putPattern(container.bundle, "pattern", 8 * MIB);
    const { exitCode } = await containers.runtime.call([
      "run",
      "--bundle",
      container.bundle.directory,
      container.id,
    ]);
    expect(exitCode).toBe(0);
    const { rootfs } = container.bundle;
    expect(sha256(readFileSync(join(rootfs, "copy")))).toBe(wanted);
    expect(
      await succeed(["sh", "-c", 'cd "$1" && cat e/* | sort -n | tr "\\n" " "; ls', "sh", rootfs]),
    ).toStartWith(`${Array.from({ length: 50 }, (_, index) => index + 1).join(" ")} `);
    expect(await Bun.file(join(rootfs, "pattern")).exists()).toBe(false);
  });
});

describe("a reader that goes away", () => {
  /** Ends with the status that a pipe without a reader gives a program, which only its parent sees. */
  const WRITER = ["bash", "-c", "yes; echo $? > /status"];

  test("a program that writes on is ended by SIGPIPE", async () => {
    const { id, bundle } = await containers.plan(WRITER);
    const { path, reader } = await makePipe("gone");
    const out = openSync(path, "w");
    await startWith(id, bundle.directory, out, out);
    closeSync(out);
    await until("it writes", () => {
      try {
        return readSync(reader, new Uint8Array(2)) === 2;
      } catch {
        return false;
      }
    });
    closeSync(reader);
    await containers.runtime.untilStatus(id, "stopped");
    expect(readFileSync(join(bundle.rootfs, "status"), "utf8")).toBe("141\n");
  });

  test("one that says little meets it at its next word", async () => {
    const script = 'trap "echo pipe > /status; exit" PIPE; echo 1; sleep 2; echo 2; echo none > /status';
    const { id, bundle } = await containers.plan(["bash", "-c", script]);
    // Without a name: nobody can come and read it later.
    const calls =
      '{ "$0" --root "$1" create --bundle "$2" "$3" && "$0" --root "$1" start "$3"; } | head -n 1';
    const words = [runtimePath, containers.runtime.root, bundle.directory, id];
    const line = await succeed(["bash", "-c", calls, ...words]);
    expect(line).toBe("1\n");
    await containers.runtime.untilStatus(id, "stopped");
    expect(readFileSync(join(bundle.rootfs, "status"), "utf8")).toBe("pipe\n");
  });

  test("of exec, its process has ended too", async () => {
    const container = await containers.plan(["sleep", "100000"]);
    const { id } = container;
    await containers.create(container);
    await containers.runtime.succeed(["start", id]);
    const words = [runtimePath, "--root", containers.runtime.root, "exec", id, "yes"];
    expect(await succeed(["bash", "-c", '"$@" | head -n 1', "bash", ...words])).toBe("y\n");
    await until("it has ended", async () => {
      return (await containers.runtime.call(["exec", id, "pgrep", "-x", "yes"])).exitCode === 1;
    });
  });
});
