import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { planGuest } from "../../src/container/guest-plan.ts";
import { encodeExec, encodeLaunch } from "../../src/guest/launch.ts";
import { encodeMachine } from "../../src/guest/machine.ts";
import { encodeProcess } from "../../src/guest/process.ts";
import { locateMonitor } from "../../src/monitor/locate.ts";
import { qemu } from "../../src/monitor/qemu.ts";
import { hostTscKhz } from "../../src/monitor/tsc-rate.ts";
import { agentSocketOf, GUEST_CID } from "../../src/monitor/vsock.ts";
import { parseSpec } from "../../src/oci/runtime-spec.ts";
import { makeBundle } from "./bundle.ts";
import { type CommandResult, command } from "./command.ts";
import { ensureImage } from "./images.ts";
import { buildVsockDevice } from "./vsock-device.ts";

const ROOT = join(import.meta.dir, "../..");
const SHARE = join(ROOT, "dist/share/urunc");

/** By which QEMU reaches the device. */
const DEVICE_FD = 9;
/** Where the console would be for a monitor that inherits one. */
const CONSOLE_FD = 4;
/** In the sandbox. */
const SOCKET = "/run/urunc/vsock.sock";
const MEMORY_MIB = 128;

const MOUNTS = [
  { destination: "/proc", type: "proc", source: "proc" },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
];

/** Machines whose agent comes by vsock to the stand-in, as Firecracker's and Cloud Hypervisor's do. */
export interface VsockMachines {
  /** The root of all of them. */
  readonly rootfs: string;
  /** Starts one; `started` is what the stand-in reports. */
  start(args: readonly string[], options?: VsockOptions): Promise<VsockMachine>;
  /** Runs one to which nobody listens, until it ends by itself; gives its console. */
  alone(options: VsockOptions): Promise<CommandResult>;
  /** What is left of them is ended. */
  close(): Promise<void>;
}

export interface VsockOptions {
  /** Words of the kernel's command line. */
  readonly words?: readonly string[];
  /** The monitor starts the machine again after a reset, as Cloud Hypervisor does; else that is its end. */
  readonly restarts?: boolean;
  /** Further arguments of the monitor. */
  readonly arguments?: readonly string[];
  /** Another initramfs than the agent's. */
  readonly initrd?: string;
  /** Milliseconds. */
  readonly bootTimeout?: number;
  readonly stdin?: Uint8Array;
}

export interface VsockMachine {
  /** One line: `started PID` or `failed STATUS SENTENCE`. */
  readonly report: Promise<string>;
  readonly ended: Promise<{ stdout: string; stderr: string; exitCode: number; bytes: Uint8Array }>;
  /** `/run/urunc` of its sandbox. */
  readonly directory: string;
  /** The device's unix socket. */
  readonly socket: string;
  /** Sends a signal to the stand-in, as an engine does. */
  signal(name: NodeJS.Signals): void;
  exec(
    args: readonly string[],
    stdin?: Uint8Array,
  ): Promise<{ stdout: string; stderr: string; exitCode: number }>;
}

export async function openVsockMachines(): Promise<VsockMachines> {
  const parent = mkdtempSync(join(ROOT, "build/vsock-"));
  const device = join(parent, "vsock-device");
  await buildVsockDevice(device);
  const { archive } = await ensureImage("busybox");
  const { rootfs } = await makeBundle(archive, { id: "vsock", parent, args: ["true"] });
  mkdirSync("/run/urunc", { recursive: true });
  const running = new Set<{ kill(signal?: NodeJS.Signals): void; exited: Promise<number> }>();

  async function start(args: readonly string[], options: VsockOptions = {}): Promise<VsockMachine> {
    const directory = mkdtempSync(join(parent, "run-"));
    writeFileSync(join(directory, "launch"), launchDocument(args, options));
    const report = listenOnce(join(directory, "start.sock"));
    const script = 'mount --bind "$1" /run/urunc && exec "$2"';
    const standin = Bun.spawn(
      [
        ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
        ...["sh", "-c", script, "sh", directory, join(SHARE, "urunc-standin")],
      ],
      { stdin: options.stdin ?? "ignore", stdout: "pipe", stderr: "pipe" },
    );
    running.add(standin);
    const ended = Promise.all([
      new Response(standin.stdout).arrayBuffer(),
      new Response(standin.stderr).text(),
      standin.exited,
    ]).then(([bytes, stderr, exitCode]) => {
      running.delete(standin);
      return { bytes: new Uint8Array(bytes), stdout: Buffer.from(bytes).toString(), stderr, exitCode };
    });
    const inside = () => {
      const children = readFileSync(`/proc/${standin.pid}/task/${standin.pid}/children`, "utf8");
      return Number(children.trim());
    };
    // The stand-in connects before it does anything else, so that its end is a report too, unless it never ran.
    const late = ended.then(async ({ stderr }) => {
      await Bun.sleep(10_000);
      return `ended ${stderr}`;
    });
    let added = 0;
    return {
      report: Promise.race([report, late]),
      ended,
      directory,
      socket: join(directory, "vsock.sock"),
      signal: (name) => process.kill(inside(), name),
      async exec(words, stdin) {
        const name = `exec-${added++}`;
        const document = encodeProcess(specification(words).process);
        writeFileSync(join(directory, name), encodeExec(document, { terminal: false, attached: false }));
        const child = Bun.spawn(
          [
            ...["nsenter", "--target", String(inside()), "--mount", "--pid"],
            ...[join(SHARE, "urunc-standin"), "--exec", name],
          ],
          { stdin: stdin ?? "ignore", stdout: "pipe", stderr: "pipe" },
        );
        const [stdout, stderr, exitCode] = await Promise.all([
          new Response(child.stdout).text(),
          new Response(child.stderr).text(),
          child.exited,
        ]);
        return { stdout, stderr, exitCode };
      },
    };
  }

  function launchDocument(args: readonly string[], options: VsockOptions): Uint8Array {
    const oci = specification(args);
    const { machine } = planGuest(oci, { memoryMiB: MEMORY_MIB, vcpus: 1 }, "vsock", "9p");
    return encodeLaunch({
      monitor: [
        device,
        SOCKET,
        String(GUEST_CID),
        String(DEVICE_FD),
        ...monitor(join(rootfs, ".."), options),
      ],
      agent: { machine: encodeMachine(machine, { kind: "none" }), process: encodeProcess(oci.process) },
      agentSocket: agentSocketOf(SOCKET),
      consoleOnStdio: true,
      terminal: false,
      bootTimeout: options.bootTimeout ?? 60_000,
    });
  }

  return {
    rootfs,
    start,
    alone(options) {
      const socket = join(mkdtempSync(join(parent, "alone-")), "vsock.sock");
      return command([
        device,
        socket,
        String(GUEST_CID),
        String(DEVICE_FD),
        ...monitor(join(rootfs, ".."), options),
      ]);
    },
    async close() {
      for (const standin of [...running]) {
        standin.kill("SIGKILL");
        await standin.exited;
      }
      rmSync(parent, { recursive: true, force: true });
    },
  };
}

function specification(args: readonly string[]) {
  return parseSpec(
    JSON.stringify({
      ociVersion: "1.0.2",
      root: { path: "rootfs" },
      process: { args, env: ["PATH=/usr/bin:/bin"], cwd: "/", user: { uid: 0, gid: 0 } },
      mounts: MOUNTS,
    }),
    "config.json",
  );
}

/** urunc's own machine, less the agent's port, with the console on standard output and a vsock. */
function monitor(share: string, options: VsockOptions): string[] {
  const { words = [], initrd, restarts, arguments: further = [] } = options;
  const { argv } = qemu.plan({
    name: "vsock",
    program: locateMonitor("qemu"),
    kernel: join(SHARE, "vmlinux"),
    initrd: initrd ?? join(SHARE, "initramfs.cpio"),
    kernelArguments: words,
    memoryMiB: MEMORY_MIB,
    vcpus: 1,
    acceleration: { kind: "tcg", tscKhz: hostTscKhz("/run/urunc", join(SHARE, "urunc-standin")) },
    share: { kind: "9p", path: share, tag: "share", readOnly: false },
    drives: [],
    network: { kind: "none" },
    agentFd: -1,
    consoleFd: CONSOLE_FD,
    vsockPath: SOCKET,
  });
  const agents = /^(socket,id=agent,|virtio-serial-device|virtserialport,)/;
  const kept = argv
    .filter((word, index) => !agents.test(word) && !agents.test(argv[index + 1] ?? ""))
    .filter((word) => !(restarts && word === "-no-reboot"))
    .map((word) => (word === `socket,id=console,fd=${CONSOLE_FD}` ? "stdio,id=console,signal=off" : word));
  const machine = kept.indexOf("-M") + 1;
  kept[machine] += ",memory-backend=memory";
  return [
    ...kept,
    // The device works on the guest's memory itself.
    ...["-object", `memory-backend-memfd,id=memory,size=${MEMORY_MIB}M,share=on`],
    ...["-chardev", `socket,id=vsock,fd=${DEVICE_FD}`, "-device", "vhost-user-vsock-device,chardev=vsock"],
    ...further,
  ];
}

/** The line that the first connection brings. */
function listenOnce(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      let text = "";
      socket.on("data", (part) => {
        text += part;
      });
      socket.on("close", () => {
        server.close();
        resolve(text.trimEnd());
      });
    });
    server.on("error", reject);
    server.listen(path);
  });
}
