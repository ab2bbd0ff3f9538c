import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BundleConfig } from "../harness/bundle.ts";
import { succeed, until } from "../harness/command.ts";
import { type Containers, openContainers } from "../harness/containers.ts";
import { processesInCgroup, processName } from "../harness/leaks.ts";
import { type Call, runsMachines } from "../harness/runtime.ts";

/** What a container does with files that it shares with the host, on its root and on a volume. */

setDefaultTimeout(120_000);

/** As Docker gives them, of those that files are about. */
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"].map(
  (name) => `CAP_${name}`,
);

let containers: Containers;
let count = 0;

beforeAll(async () => {
  containers = await openContainers("busybox");
}, 300_000);

afterAll(async () => {
  await containers?.close();
}, 120_000);

function makeVolume(): string {
  const volume = join(containers.runtime.directory, `volume-${++count}`);
  mkdirSync(volume);
  return volume;
}

/** Runs a shell's script with a volume at `/data`. */
async function run(
  script: string,
  volume: string,
  change: (config: BundleConfig) => void = () => {},
): Promise<Call> {
  const container = await containers.plan(["sh", "-c", script], (config) => {
    config.mounts.push({ destination: "/data", type: "bind", source: volume, options: ["rbind", "rw"] });
    for (const set of ["bounding", "effective", "permitted"]) config.process.capabilities[set] = CAPABILITIES;
    change(config);
  });
  return containers.runtime.call(["run", "--bundle", container.bundle.directory, container.id]);
}

test("FIFOs and device nodes are made, on the root and on a volume, and used", async () => {
  const volume = makeVolume();
  const script = `for d in /root /data; do
    mkfifo $d/fifo && mknod $d/null c 1 3 && mknod $d/disk b 7 0 || exit 1
    echo through > $d/fifo & cat $d/fifo
    stat -c '%F %t:%T %a' $d/fifo $d/null $d/disk
  done`;
  const call = await run(`mkdir -p /root; umask 022; ${script}`, volume);
  expect(call.stderr).toBe("");
  const one = [
    "through",
    "fifo 0:0 644",
    "character special file 1:3 644",
    "block special file 7:0 644",
    "",
  ].join("\n");
  expect(call.stdout).toBe(one + one);
  expect(statSync(join(volume, "fifo")).isFIFO()).toBe(true);
  expect(statSync(join(volume, "null")).isCharacterDevice()).toBe(true);
});

test("a user makes files where only a further group of the user may", async () => {
  const volume = makeVolume();
  chmodSync(volume, 0o2770);
  chownSync(volume, 0, 2000);
  const script = "cd /data; touch file; mkdir directory; ln -s x link; mkfifo fifo; stat -c '%n %u:%g' *";
  const call = await run(script, volume, (config) => {
    config.process.user = { uid: 1000, gid: 1000, additionalGids: [2000] };
    config.process.capabilities = { bounding: [], effective: [], permitted: [] };
  });
  expect(call.stderr).toBe("");
  const names = ["directory", "fifo", "file", "link"];
  expect(call.stdout).toBe(names.map((name) => `${name} 1000:2000\n`).join(""));
});

test("and nowhere else", async () => {
  const volume = makeVolume();
  chmodSync(volume, 0o750);
  const call = await run("touch /data/file", volume, (config) => {
    config.process.user = { uid: 1000, gid: 1000 };
    config.process.capabilities = { bounding: [], effective: [], permitted: [] };
  });
  expect(call.exitCode).not.toBe(0);
  expect(call.stderr).toContain("Permission denied");
  expect(readdirSync(volume)).toEqual([]);
});

test("what the host changes is seen at the next look, in files that stay open too", async () => {
  const volume = makeVolume();
  const value = join(volume, "value");
  const go = join(volume, "go");
  writeFileSync(value, "value 00\n");
  writeFileSync(go, "0");
  // Whoever has it open keeps the guest's kernel from forgetting it.
  const script = `exec 3< /data/value; cd /data; last=0; echo ready
    while :; do
      now=$(cat go); [ "$now" = "$last" ] && continue
      last=$now; [ "$now" = end ] && exit
      echo "$now: $(cat value) $(ls | wc -l)"
    done`;
  const container = await containers.plan(["sh", "-c", script], (config) => {
    config.mounts.push({ destination: "/data", type: "bind", source: volume, options: ["rbind", "rw"] });
  });
  const call = await containers.create(container);
  await containers.runtime.succeed(["start", container.id]);
  await until("it is ready", () => call.output().stdout.includes("ready"));
  const tell = (word: string) => {
    writeFileSync(join(volume, ".go"), word);
    renameSync(join(volume, ".go"), go);
  };
  const expected = ["ready"];
  for (let round = 1; round <= 20; round++) {
    const text = `value ${String(round).padStart(2, "0")}`;
    writeFileSync(value, `${text}\n`);
    writeFileSync(join(volume, `file-${round}`), "");
    tell(String(round));
    expected.push(`${round}: ${text} ${round + 2}`);
    await until(`round ${round} is answered`, () => call.output().stdout.includes(`${round}: `));
  }
  tell("end");
  await containers.runtime.untilStatus(container.id, "stopped");
  expect(call.output().stdout.trim().split("\n")).toEqual(expected);
});

describe("mounts of the host below a volume", () => {
  let volume: string;

  beforeAll(async () => {
    volume = makeVolume();
    for (const name of ["a", "b"]) {
      mkdirSync(join(volume, name));
      await succeed(["mount", "-t", "tmpfs", "tmpfs", join(volume, name)]);
      writeFileSync(join(volume, name, "file"), name);
    }
  });

  afterAll(async () => {
    for (const name of ["a", "b"]) await succeed(["umount", join(volume, name)]);
  });

  test("are file systems of their own, with the host's inode numbers", async () => {
    const call = await run("cd /data; cat a/file b/file; echo; stat -c '%d %i' . a/file b/file", volume);
    const [text, ...numbers] = call.stdout.trim().split("\n");
    expect(text).toBe("ab");
    const devices = numbers.map((line) => line.split(" ")[0]);
    expect(new Set(devices).size).toBe(3);
    const inodes = numbers.slice(1).map((line) => Number(line.split(" ")[1]));
    expect(inodes).toEqual(["a", "b"].map((name) => statSync(join(volume, name, "file")).ino));
  });

  test("a search that stays on one file system does not enter them, once they have been seen", async () => {
    const script = "cd /data; ls a b > /dev/null; find . -xdev -type f; echo; find . -type f | sort";
    const call = await run(script, volume);
    expect(call.stdout).toBe("\n./a/file\n./b/file\n");
  });
});

test.if(runsMachines)("virtiofsd has files open for those in use, not for those that were seen", async () => {
  const volume = makeVolume();
  for (let directory = 0; directory < 20; directory++) {
    mkdirSync(join(volume, String(directory)));
    for (let file = 0; file < 100; file++) writeFileSync(join(volume, String(directory), String(file)), "");
  }
  const script = "find /data -type f -size -2 | wc -l; echo ready; sleep 1000";
  const container = await containers.plan(["sh", "-c", script], (config) => {
    config.mounts.push({ destination: "/data", type: "bind", source: volume, options: ["rbind", "rw"] });
  });
  const call = await containers.create(container);
  await containers.runtime.succeed(["start", container.id]);
  await until("all are seen", () => call.output().stdout.includes("ready"), 60_000);
  expect(call.output().stdout).toBe("2000\nready\n");
  const server = processesInCgroup(`/${container.id}`).find((pid) => processName(pid) === "virtiofsd");
  expect(readdirSync(`/proc/${server}/fd`).length).toBeLessThan(500);
});
