import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { dockerCommand } from "../harness/docker-layout.ts";
import { imageReference, startLoadedDocker } from "../harness/loaded-docker.ts";
import { openScreen, type Screen } from "../harness/screen.ts";

setDefaultTimeout(180_000);

const INTERRUPT = "\x03";
const END = "\x04";
const SUSPEND = "\x1a";
const QUIT = "\x1c";
const ESCAPE = "\x1b";
const DETACH = "\x10\x11";
const SIZE = { rows: 30, columns: 100 };
/** Without anybody's settings. What is typed is echoed, so that commands write words otherwise than they show them. */
const SHELL = ["bash", "--norc", "--noprofile"];

let docker: Docker;

beforeAll(async () => {
  docker = await startLoadedDocker("tty", ["debian", "busybox"]);
}, 600_000);

afterAll(() => docker?.stop(), 120_000);

function client(...words: string[]): Screen {
  return openScreen(dockerCommand(docker.layout, words), SIZE);
}

function run(image: "debian" | "busybox", ...command: string[]): Screen {
  return client("run", "--rm", "-it", "--runtime", "urunc", imageReference(image), ...command);
}

async function detached(flags: string, ...command: string[]): Promise<string> {
  const words = ["run", "--detach", flags, "--runtime", "urunc", imageReference("debian")];
  return docker.succeed([...words, ...command]);
}

/** A shell on a terminal, however it was come by, does what shells on terminals do. Ends it, with 5. */
async function useShell(screen: Screen): Promise<void> {
  await screen.see("# ");
  screen.type("stty size; stty -a | grep -o ^isig; tty\r");
  await screen.see("30 100\r\nisig\r\n/dev/");

  // A program in the foreground is interrupted, and the shell is not.
  screen.type("sh -c 'echo beg\"\"un; exec sleep 1000'\r");
  await screen.see("begun");
  screen.type(INTERRUPT);
  await screen.see("# ");
  screen.type("echo inter$?\r");
  await screen.see("inter130");

  screen.type("sh -c 'echo beg\"\"un; exec sleep 1000'\r");
  await screen.see("begun");
  screen.type(QUIT);
  await screen.see("# ");
  screen.type("echo quit$?\r");
  await screen.see("quit131");

  // Job control.
  screen.type("sh -c 'echo beg\"\"un; exec sleep 1001'\r");
  await screen.see("begun");
  screen.type(SUSPEND);
  await screen.see("Stopped");
  screen.type("bg\r");
  await screen.see(/\[1\]\+ sh .*&\r\n/);
  screen.type("jobs\r");
  await screen.see("Running");
  screen.type("fg\r");
  await screen.see("exec sleep 1001");
  await Bun.sleep(300);
  screen.type(INTERRUPT);
  await screen.see("# ");
  screen.type('jobs; echo j""obs$?\r');
  await screen.see("jobs0");

  // The end of input, for a program.
  screen.type("cat\r");
  await screen.see("cat\r\n");
  screen.type(`typed\r`);
  await screen.see("typed\r\ntyped\r\n");
  screen.type(END);
  await screen.see("# ");

  // Sizes that change. Bash forgets a signal that comes while its trap runs, so that the trap does not show the size.
  const showSizes =
    'while :; do sleep 0.1; now=$size; [ "$now" = "$shown" ] || echo "$now"; shown=$now; done';
  screen.type(`bash -c 'trap "size=\\$(stty size)" WINCH; echo lo""op; ${showSizes}'\r`);
  await screen.see("loop");
  screen.resize(40, 90);
  await screen.see("40 90");
  screen.resize(25, 132);
  await screen.see("25 132");
  screen.type(INTERRUPT);
  await screen.see("# ");

  // Raw: nothing that is typed has a meaning.
  screen.type('stty raw -echo; echo no""thing; head -c 4 | od -An -tx1; stty sane\r');
  await screen.see("nothing");
  screen.type(`${INTERRUPT}\r${SUSPEND}${END}`);
  await screen.see("03 0d 1a 04");
  await screen.see("# ");

  screen.type("exit 5\r");
  expect(await screen.exited).toBe(5);
}

describe("a shell on a terminal: job control, sizes, raw mode, the end of input", () => {
  test("docker run -it", async () => {
    await useShell(run("debian", ...SHELL));
  });

  test("docker exec -it", async () => {
    const id = await detached("-i", "sleep", "100000");
    await useShell(client("exec", "-it", id, ...SHELL));
    await docker.succeed(["rm", "--force", id]);
  });

  test("the end of input ends the shell, with the status of its last command", async () => {
    const screen = run("debian", ...SHELL);
    await screen.see("# ");
    screen.type("(exit 9)\r");
    await screen.see("# ");
    screen.type(END);
    expect(await screen.exited).toBe(9);
  });

  test("vi edits and saves a file", async () => {
    const screen = run("busybox", "sh");
    await screen.see("# ");
    screen.type("vi /text\r");
    await screen.see("~");
    screen.type(`ihello${ESCAPE}`);
    await screen.see("hello");
    screen.type("yyp:wq\r");
    await screen.see("# ");
    screen.type("cat /text; echo $?\r");
    await screen.see("hello\r\nhello\r\n0\r\n");
    screen.type("exit\r");
    expect(await screen.exited).toBe(0);
  });

  test("a program that fills the screen, as less does, gets each key", async () => {
    const screen = run("busybox", "sh", "-c", 'seq 1000 | less; echo l""eft');
    await screen.see("28");
    screen.type(" ");
    await screen.see("57");
    screen.type("G");
    await screen.see("1000");
    screen.type("q");
    await screen.see("left");
    expect(await screen.exited).toBe(0);
  });
});

/** What a stream gives, while it gives it. */
function collect(stream: ReadableStream<Uint8Array>): { text: string; ended: Promise<void> } {
  const decoder = new TextDecoder();
  const collected = { text: "", ended: Promise.resolve() };
  collected.ended = (async () => {
    for await (const part of stream) collected.text += decoder.decode(part, { stream: true });
  })();
  return collected;
}

describe("docker attach", () => {
  test("with a terminal: detached by its keys, it goes on, and can be attached to again", async () => {
    const id = await detached("-it", ...SHELL);
    const first = client("attach", id);
    first.type('A=kept; echo fi""rst\r');
    await first.see("first");
    first.type(DETACH);
    // Docker's client has a word on this, and a status of its own.
    await first.see("read escape sequence");
    await first.exited;
    expect(await docker.succeed(["inspect", "--format", "{{.State.Running}}", id])).toBe("true");
    const second = client("attach", id);
    second.type('echo $A-se""cond; stty size\r');
    await second.see("kept-second\r\n30 100");
    second.type("exit 3\r");
    expect(await second.exited).toBe(3);
    expect(await docker.succeed(["wait", id])).toBe("3");
    await docker.succeed(["rm", id]);
  });

  test("exec with a terminal: detached by its keys, the process goes on", async () => {
    const id = await detached("-i", "sleep", "100000");
    const screen = client("exec", "-it", id, "sh", "-c", 'echo beg""un; exec sleep 4321');
    await screen.see("begun");
    screen.type(DETACH);
    await screen.exited;
    expect((await docker.run(["exec", id, "pgrep", "-f", "sleep 4321"])).exitCode).toBe(0);
    await docker.succeed(["rm", "--force", id]);
  });

  test("without a terminal: clients come and go, and no output is lost", async () => {
    const id = await detached(
      "-i",
      "bash",
      "-c",
      'while read -r line && [ "$line" != end ]; do echo out $line; echo err $line >&2; done; echo over',
    );
    const attach = () =>
      Bun.spawn(dockerCommand(docker.layout, ["attach", id]), {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "pipe",
      });
    const first = attach();
    first.stdin.write("1\n");
    first.stdin.flush();
    await until(
      "the first line is answered",
      async () => (await docker.run(["logs", id])).stderr === "err 1\n",
    );
    first.kill("SIGKILL");
    await first.exited;
    expect(await docker.succeed(["inspect", "--format", "{{.State.Running}}", id])).toBe("true");
    const second = attach();
    const [out, err] = [collect(second.stdout), collect(second.stderr)];
    // Nothing says when a client is attached: what is written before is in the log only.
    let asked = 0;
    await until("the second client has an answer", async () => {
      second.stdin.write(`2 ${++asked}\n`);
      second.stdin.flush();
      await Bun.sleep(500);
      return out.text.includes("out 2") && err.text.includes("err 2");
    });
    second.stdin.write("end\n");
    second.stdin.flush();
    expect(await second.exited).toBe(0);
    await Promise.all([out.ended, err.ended]);
    expect(out.text).toEndWith(`out 2 ${asked}\nover\n`);
    expect(err.text).toEndWith(`err 2 ${asked}\n`);
    const all = (word: string) =>
      `${word} 1\n${Array.from({ length: asked }, (_, index) => `${word} 2 ${index + 1}\n`).join("")}`;
    expect(await docker.run(["logs", id])).toEqual({
      stdout: `${all("out")}over\n`,
      stderr: all("err"),
      exitCode: 0,
    });
    await docker.succeed(["rm", id]);
  });
});
