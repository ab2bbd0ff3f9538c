// Roots that are block devices of containerd's blockfile snapshotter, where this machine has containerd 2.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { succeed, until } from "../harness/command.ts";
import { type Containerd, startContainerd } from "../harness/containerd.ts";
import { makeFileSystem } from "../harness/device-root.ts";
import { ensureImage } from "../harness/images.ts";
import { layOut } from "../harness/laid-out.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { outputOf, runNerdctl } from "../harness/nerdctl.ts";
import { allOf, directoryOf, findNewer } from "../harness/newer-clients.ts";
import { runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const MACHINE = ["--snapshotter", "blockfile", "--runtime", "io.containerd.urunc.v2"];
/** For an image that does not ask by itself. */
const ASKED = ["--annotation", "com.urunc.config.rootfs.snapshot=always"];
const PLAIN = `docker.io/${imageReference("busybox")}:latest`;
/** As bunny makes it of a bunnyfile whose root is of the type `raw`. */
const RAW = "docker.io/urunc-test/raw:latest";
const ROOT = "awk '$2 == \"/\" { print $3 }' /proc/mounts";

const ofContainerd = allOf(
  findNewer("containerd", "2.0"),
  findNewer("ctr", "2.0"),
  findNewer("containerd-shim-runc-v2", "2.0"),
);
const program = findNewer("nerdctl", "2.0");
const noNerdctl = ofContainerd === undefined || program === undefined;
let containerd: Containerd;
/** The programs, and an empty file system of which all others are copies. */
let files: string;

beforeAll(async () => {
  if (ofContainerd === undefined) return;
  const { archive } = await ensureImage("busybox");
  files = mkdtempSync(join(tmpdir(), "ur-block-"));
  const [empty, scratch] = [join(files, "empty"), join(files, "scratch")];
  mkdirSync(empty);
  await makeFileSystem(scratch, empty);
  containerd = await startContainerd("block", runtimePath, {
    programs: directoryOf(ofContainerd, join(files, "programs")),
    plugins: `[plugins."io.containerd.snapshotter.v1.blockfile"]\nscratch_file = ${JSON.stringify(scratch)}\n`,
  });
  const raw = await layOut(files, {
    base: archive,
    files: { "/.boot/kernel": join(SHARE, "vmlinux"), "/urunit": join(SHARE, "urunit") },
    annotations: {
      ...{ unikernelType: "linux", hypervisor: "qemu", binary: "/.boot/kernel" },
      ...{ mountRootfs: "true", cmdline: "/urunit /bin/sh" },
    },
    process: { Env: ["PATH=/bin"] },
    command: ["/urunit", "/bin/sh", "-c", `${ROOT}; uname -r`],
    reference: RAW,
  });
  for (const one of [archive, raw]) await containerd.succeed(["images", "import", one]);
}, 600_000);

afterAll(async () => {
  try {
    await containerd?.stop();
    if (containerd === undefined) return;
    await expectNothingLeft([containerd.layout.directory, containerd.namespace], ["/run/containerd/runc"]);
    await untilNoDevice();
  } finally {
    if (files !== undefined) rmSync(files, { recursive: true, force: true });
  }
}, 120_000);

/** The loop devices of the snapshotter's files, those of removed ones too. */
async function devices(): Promise<string[]> {
  const lines = await succeed(["losetup", "--noheadings", "--output", "NAME,BACK-FILE"]);
  return lines.split("\n").filter((line) => line.includes(containerd.layout.directory));
}

/** Where the snapshotter's devices are mounted on the host. */
async function mounts(): Promise<string[]> {
  const names = (await devices()).map((line) => line.split(/ +/)[0]);
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .filter((line) => names.includes(line.split(" ")[0]));
}

const untilNoDevice = () => until("no loop device is left", async () => (await devices()).length === 0);

test.skipIf(ofContainerd === undefined)(
  "ctr run: streams, exit status, the root, and nothing is left",
  async () => {
    const script = `${ROOT}; uname -r; echo err >&2; exit 7`;
    const run = ["run", "--rm", ...MACHINE, ...ASKED, PLAIN, "block-1", "sh", "-c", script];
    const result = await containerd.run(run);
    expect(result.stdout).toMatch(/^ext4\n\S+-urunc\n$/);
    expect(result.stderr).toEndWith("err\n");
    expect(result.exitCode).toBe(7);
    await untilNoDevice();
  },
);

describe("nerdctl", () => {
  const it = test.skipIf(noNerdctl);
  const call = (...words: string[]) => runNerdctl(program, containerd, words);
  const output = async (...words: string[]) => outputOf(`nerdctl ${words[0]}`, await call(...words));

  it("the guide's command: an image that brings its kernel has its root as a disk without being told", async () => {
    expect(await output("run", "--rm", ...MACHINE, RAW)).toMatch(/^ext4\n\S+-urunc$/);
    await untilNoDevice();
  });

  it("a plain image in the background: exec, stop, commit, start, restart, kill, rm", async () => {
    const script = "echo once >>/made; sync; echo ready; trap 'exit 9' TERM; while :; do sleep 0.1; done";
    const id = await output("run", "--detach", ...MACHINE, ...ASKED, PLAIN, "sh", "-c", script);
    const untilStarted = (times: number) =>
      until(`it was started ${times} times`, async () => {
        const log = await output("logs", id);
        return log === Array(times).fill("ready").join("\n");
      });
    const expectMade = async (times: number) => {
      const { stdout } = await call("exec", id, "sh", "-c", `${ROOT}; cat /made`);
      expect(stdout).toBe(`ext4\n${"once\n".repeat(times)}`);
      expect(await devices()).toHaveLength(1);
      expect(await mounts()).toEqual([]);
    };
    await untilStarted(1);
    await expectMade(1);
    await output("stop", "--time", "60", id);
    expect(await output("inspect", "--format", "{{.State.ExitCode}}", id)).toBe("9");
    await untilNoDevice();
    const committed = "docker.io/urunc-test/committed:latest";
    await output("--snapshotter", "blockfile", "commit", id, committed);
    expect(await output("run", "--rm", ...MACHINE, committed, "cat", "/made")).toBe("once");
    await output("start", id);
    await untilStarted(2);
    await expectMade(2);
    await output("restart", "--time", "60", id);
    await untilStarted(3);
    await expectMade(3);
    // As after a power failure: the next mount replays the journal.
    await output("kill", id);
    await until(
      "it has ended",
      async () => (await output("inspect", "--format", "{{.State.Status}}", id)) === "exited",
    );
    await output("start", id);
    await untilStarted(4);
    await expectMade(4);
    await output("rm", "--force", id);
    await expectNothingLeft([id], [containerd.runtimeRoot]);
    await untilNoDevice();
  });

  it("an image that asks for nothing is shared, and the device stays the host's", async () => {
    const words = ["run", "--rm", ...MACHINE, PLAIN, "sh", "-c", ROOT];
    expect(await output(...words)).not.toBe("ext4");
    await untilNoDevice();
  });
});
