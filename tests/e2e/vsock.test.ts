// The agent by vsock, as Firecracker and Cloud Hypervisor bring it: the real guest and the real stand-in, with a device for
// QEMU between them that does what those monitors do. The guest is hostile: it may connect as often as it likes.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { succeed, until } from "../harness/command.ts";
import { type HostileGuests, openHostileGuests } from "../harness/hostile-guest.ts";
import { runsMachines } from "../harness/runtime.ts";
import {
  openVsockMachines,
  type VsockMachine,
  type VsockMachines,
  type VsockOptions,
} from "../harness/vsock-machine.ts";

setDefaultTimeout(120_000);

const MIB = 1024 * 1024;

let machines: VsockMachines;
let guests: HostileGuests;
/** One that runs until the end. */
let machine: VsockMachine;

describe.if(runsMachines)("a machine whose agent comes by vsock", () => {
  beforeAll(async () => {
    machines = await openVsockMachines();
    guests = await openHostileGuests();
    const source = join(import.meta.dir, "../harness/vsock-tool.c");
    const warnings = ["-Wall", "-Wextra", "-Werror"];
    const tool = join(machines.rootfs, "usr/bin/vsock-tool");
    await succeed(["musl-gcc", "-static", "-Os", "-s", ...warnings, source, "-o", tool]);
    machine = await machines.start(["sleep", "100000"]);
    expect(await machine.report).toMatch(/^started [0-9]+$/);
  });

  afterAll(async () => {
    await machines?.close();
    guests?.remove();
  });

  test("runs its program and has its output and exit status", async () => {
    const { report, ended } = await machines.start(["sh", "-c", "echo out; echo err >&2; exit 42"]);
    expect(await report).toMatch(/^started [0-9]+$/);
    const { stdout, stderr, exitCode } = await ended;
    expect([stdout, stderr, exitCode]).toEqual(["out\n", "err\n", 42]);
  });

  test("carries 8 MiB in and out, as they are", async () => {
    const sent = randomBytes(8 * MIB);
    const { ended } = await machines.start(["cat"], { stdin: sent });
    const { bytes, stderr, exitCode } = await ended;
    expect([bytes.length, stderr, exitCode]).toEqual([sent.length, "", 0]);
    expect(digest(bytes)).toBe(digest(sent));
  });

  test("delivers signals", async () => {
    const script = "trap 'echo heard; exit 7' TERM; echo ready; while :; do sleep 1 & wait; done";
    const { report, signal, ended } = await machines.start(["sh", "-c", script]);
    await report;
    // One that comes before the trap is set does nothing to a first process.
    const again = setInterval(() => signal("SIGTERM"), 500);
    const { stdout, exitCode } = await ended.finally(() => clearInterval(again));
    expect([stdout, exitCode]).toEqual(["ready\nheard\n", 7]);
  });

  test("takes further processes", async () => {
    const sent = randomBytes(MIB);
    expect(await machine.exec(["sh", "-c", "echo out; exit 3"])).toEqual({
      stdout: "out\n",
      stderr: "",
      exitCode: 3,
    });
    const { stdout } = await machine.exec(["sha256sum"], sent);
    expect(stdout).toBe(`${digest(sent)}  -\n`);
  });

  test("has one connection, however often an application asks for another", async () => {
    const { stdout } = await machine.exec(["vsock-tool", "connect", "2", "1024", "100"]);
    expect(stdout).toBe("0 of 100: Connection reset by peer\n");
    expect((await machine.exec(["vsock-tool", "connect", "2", "9999", "3"])).stdout).toStartWith("0 of 3: ");
    expect((await machine.exec(["echo", "well"])).stdout).toBe("well\n");
  });

  test("takes a connection of the host's, by the device's handshake", async () => {
    const echo = machine.exec(["vsock-tool", "echo", "5000"]);
    const sent = randomBytes(MIB);
    const { greeting, bytes } = await until("the guest listens", () => talk(machine.socket, 5000, sent));
    expect(greeting).toMatch(/^OK [0-9]+$/);
    expect(digest(bytes)).toBe(digest(sent));
    expect(await echo).toEqual({ stdout: "listens\n", stderr: "", exitCode: 0 });
  });

  test("has its console on the monitor's standard output, apart from what the monitor says", async () => {
    const { ended, directory } = await machines.start(["true"], { words: ["ignore_loglevel"] });
    expect((await ended).exitCode).toBe(0);
    expect(readFileSync(join(directory, "kernel.log"), "utf8")).toContain("Linux version");
    expect(readFileSync(join(directory, "monitor.log"), "utf8")).not.toContain("Linux version");
  });

  test("ends by itself where nobody takes its connection, also on a monitor that would start it again", async () => {
    const reset = await machines.alone({});
    expect(reset.exitCode).toBe(0);
    expect(reset.stdout).toContain("urunit: the host does not take the agent's connection");
    const off = await machines.alone({ words: ["URUNIT_END=poweroff"], restarts: true });
    expect(off.exitCode).toBe(0);
    expect(off.stdout).toContain("urunit: the host does not take the agent's connection");
  });

  test("whose monitor fails ends with what that said", async () => {
    const { report } = await machines.start(["true"], { arguments: ["-no-such-option"] });
    expect(await report).toBe(
      "failed 255 the monitor ended with status 1: qemu-system-x86_64: -no-such-option: invalid option",
    );
  });

  describe("and whose guest is hostile", () => {
    const hostile = (mode: string, options: VsockOptions = {}) =>
      machines.start(["true"], { initrd: guests.initramfs(mode), ...options });

    test("the first of its connections counts, and it has no other", async () => {
      const { report, ended } = await hostile("vsock-many");
      expect(await report).toBe("started 7");
      const { stdout, stderr, exitCode } = await ended;
      expect([stdout, stderr, exitCode]).toEqual(["xxxxx", "", 9]);
    });

    test("one that closes it ends", async () => {
      const { report, ended } = await hostile("vsock-closes");
      expect(await report).toStartWith("failed 255 the guest's channel was closed: see kernel.log");
      expect((await ended).exitCode).toBe(255);
    });

    test("one that never connects ends at the boot timeout, with the reason", async () => {
      const { report, ended } = await hostile("boot-hangs", { bootTimeout: 5000 });
      expect(await report).toStartWith(
        "failed 255 the virtual machine did not connect its agent within 5 seconds",
      );
      expect((await ended).exitCode).toBe(255);
    });

    test("one that breaks the protocol ends", async () => {
      const { report, ended } = await hostile("hello-magic");
      expect(await report).toBe("failed 255 the guest broke the protocol: its HELLO is not of this protocol");
      expect((await ended).exitCode).toBe(255);
    });

    test("one whose kernel panics ends with what it said, also on a monitor that would start it again", async () => {
      for (const restarts of [false, true]) {
        const early = await hostile("boot-panics", { restarts });
        expect(await early.report).toStartWith(
          "failed 255 the guest's kernel has panicked: Attempted to kill init!",
        );
        expect((await early.ended).exitCode).toBe(255);
        const late = await hostile("run-panics", { restarts });
        expect(await late.report).toBe("started 7");
        const { stderr, exitCode } = await late.ended;
        // The console may be ahead of the device, and the panic be seen before the start.
        expect(stderr).toMatch(
          restarts
            ? /^urunc: the guest's (channel was closed: see kernel\.log|kernel has panicked: )/
            : /^urunc: the (monitor ended with status 0: see kernel\.log|guest's kernel has panicked: )/,
        );
        expect(exitCode).toBe(255);
      }
    });
  });
});

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Connects to a port of the guest's, sends all and reads as much; undefined: nobody listens there yet. */
function talk(path: string, port: number, sent: Uint8Array) {
  return new Promise<{ greeting: string; bytes: Uint8Array } | undefined>((resolve, reject) => {
    const socket = connect(path);
    const parts: Buffer[] = [];
    let greeting: string | undefined;
    let length = 0;
    socket.on("error", reject);
    socket.on("connect", () => socket.write(`CONNECT ${port}\n`));
    socket.on("close", () =>
      resolve(greeting === undefined ? undefined : { greeting, bytes: Buffer.concat(parts) }),
    );
    socket.on("data", (part: Buffer) => {
      let rest = part;
      if (greeting === undefined) {
        const end = part.indexOf("\n");
        greeting = part.subarray(0, end).toString();
        rest = part.subarray(end + 1);
        socket.write(sent);
      }
      parts.push(rest);
      length += rest.length;
      if (length === sent.length) socket.end();
    });
  });
}
