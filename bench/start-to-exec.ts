import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { planGuest } from "../src/container/guest-plan.ts";
import { shareDevice } from "../src/container/vm.ts";
import { encodeLaunch } from "../src/guest/launch.ts";
import { encodeMachine } from "../src/guest/machine.ts";
import { encodeProcess } from "../src/guest/process.ts";
import { findFileServer, type ShareWay, shareWay } from "../src/monitor/file-server.ts";
import { locateMonitor } from "../src/monitor/locate.ts";
import { qemu } from "../src/monitor/qemu.ts";
import { hostTscKhz } from "../src/monitor/tsc-rate.ts";
import type { VmSpec } from "../src/monitor/vm-spec.ts";
import { parseSpec } from "../src/oci/runtime-spec.ts";
import { makeBundle } from "../tests/harness/bundle.ts";
import { openContainers } from "../tests/harness/containers.ts";
import { ensureImage } from "../tests/harness/images.ts";
import { figures, inTurn, report, type Subject } from "./measure.ts";

const SHARE = join(import.meta.dir, "../dist/share/urunc");

/** As Docker asks for them. */
const MOUNTS = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755"] },
  { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance"] },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["ro", "nosuid", "noexec", "nodev"],
  },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
];

/** What is to be seen on the guide's machine when its application runs. */
const READY = "the-application-runs";

/**
 * From the start of the stand-in, or the monitor, to the application's execution: the same files on the same kernel, with
 * our machine and agent, and by the guide's recipe (the `pc` machine, the compressed kernel, the application as init).
 */
export async function startToExec(rounds: number): Promise<{ ours: number; guide: number }> {
  const image = await ensureImage("debian");
  const directory = mkdtempSync(join(tmpdir(), "urunc-bench-"));
  try {
    const { rootfs } = await makeBundle(image.archive, { id: "guide", parent: directory, args: ["true"] });
    const machineBy = (way: ShareWay): Subject => ({
      name: `urunc's machine, ${way.kind}`,
      run: () => machine(rootfs, directory, way),
    });
    const subjects = [
      machineBy(shareWay({ server: findFileServer() })),
      { name: "the guide's recipe", run: () => guide(rootfs) },
      machineBy(shareWay({ wanted: "9p", server: undefined })),
    ];
    const rows = await inTurn(subjects, rounds);
    report("start-to-exec", "Start → the application's execution", rows);
    return { ours: rows[0]?.median ?? Number.NaN, guide: rows[1]?.median ?? Number.NaN };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The product's own parts from the stand-in on: it starts the monitor, and says when the application runs. */
async function machine(rootfs: string, parent: string, share: ShareWay): Promise<number> {
  const run = mkdtempSync(join(parent, "run-"));
  writeFileSync(join(run, "launch"), launchDocument(rootfs, share));
  const started = Promise.withResolvers<string>();
  const server = createServer((socket) => {
    let text = "";
    socket.on("data", (part) => {
      text += part;
    });
    socket.on("close", () => started.resolve(text));
  });
  await new Promise<void>((resolve) => server.listen(join(run, "start.sock"), resolve));
  // What the engine does beforehand is not measured: it waits for a word.
  const script = 'mount --bind "$1" /run/urunc && echo && read -r go && exec "$2" < /dev/null > /dev/null';
  const standin = Bun.spawn(
    [
      ...["unshare", "--mount", "--pid", "--fork", "--kill-child"],
      ...["sh", "-c", script, "sh", run, join(SHARE, "urunc-standin")],
    ],
    { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
  );
  await standin.stdout.getReader().read();
  const began = performance.now();
  standin.stdin.write("go\n");
  standin.stdin.flush();
  const complaint = new Response(standin.stderr).text();
  const word = await Promise.race([started.promise, standin.exited.then(() => "ended")]);
  const time = performance.now() - began;
  const status = await standin.exited;
  server.close();
  if (!word.startsWith("started") || status !== 0) {
    throw new Error(`the machine did not run its application: ${word}, status ${status}: ${await complaint}`);
  }
  return time;
}

function launchDocument(rootfs: string, share: ShareWay): Uint8Array {
  const spec: VmSpec = {
    name: "bench",
    program: locateMonitor("qemu"),
    kernel: join(SHARE, "vmlinux"),
    initrd: join(SHARE, "initramfs.cpio"),
    kernelArguments: [],
    memoryMiB: 256,
    vcpus: 1,
    acceleration: { kind: "tcg", tscKhz: tscKhz() },
    share: shareDevice(share, join(rootfs, "..")),
    drives: [],
    network: { kind: "user", mac: "52:54:00:00:00:01" },
    agentFd: 3,
    consoleFd: 4,
    vsockPath: "/run/urunc/vsock.sock",
  };
  const oci = parseSpec(
    JSON.stringify({
      ociVersion: "1.0.2",
      root: { path: "rootfs" },
      process: { args: ["/bin/true"], env: ["PATH=/usr/bin:/bin"], cwd: "/", user: { uid: 0, gid: 0 } },
      mounts: MOUNTS,
    }),
    "config.json",
  );
  const { machine } = planGuest(oci, { memoryMiB: 256, vcpus: 1 }, "bench", share.kind);
  const { argv, fileServer } = qemu.plan(spec);
  return encodeLaunch({
    monitor: [...argv],
    ...(fileServer === undefined ? {} : { fileServer }),
    agent: { machine: encodeMachine(machine, { kind: "none" }), process: encodeProcess(oci.process) },
    terminal: false,
    bootTimeout: 60_000,
  });
}

function tscKhz(): number {
  return hostTscKhz("/run/urunc", join(SHARE, "urunc-standin"));
}

/** The guide's QEMU, less what emulation does not have, and with the clock's rate: else one boot in five hangs. */
async function guide(rootfs: string): Promise<number> {
  const rootflags = "trans=virtio,version=9p2000.L,msize=5000000,cache=mmap,posixacl";
  const append = [
    ...["panic=-1", "console=ttyS0", `tsc_early_khz=${tscKhz()}`],
    ...["root=fs0", "rw", "rootfstype=9p", `rootflags=${rootflags}`],
    ...["init=/bin/echo", "--", READY],
  ].join(" ");
  const began = performance.now();
  const qemu = Bun.spawn(
    [
      ...["qemu-system-x86_64", "-m", "256M", "-cpu", "max", "-accel", "tcg", "-nographic", "-vga", "none"],
      ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
      ...["-kernel", join(SHARE, "bzImage"), "-net", "nic,model=virtio", "-net", "user"],
      ...["-fsdev", `local,id=fs0,path=${rootfs},security_model=passthrough`],
      ...["-device", "virtio-9p-pci,fsdev=fs0,mount_tag=fs0"],
      ...["-no-reboot", "-serial", "stdio", "-monitor", "none", "-nodefaults", "-append", append],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const limit = setTimeout(() => qemu.kill("SIGKILL"), 60_000);
  let text = "";
  const decoder = new TextDecoder();
  try {
    for await (const part of qemu.stdout) {
      text += decoder.decode(part, { stream: true });
      if (text.includes(`\n${READY}`)) return performance.now() - began;
    }
    throw new Error(`the guide's machine did not run its application:\n${text.slice(-2000)}`);
  } finally {
    clearTimeout(limit);
    qemu.kill("SIGKILL");
    await qemu.exited;
  }
}

/** Machines one after another; gives how many ran their application. */
export async function boots(count: number): Promise<number> {
  const containers = await openContainers("debian");
  const container = await containers.plan(["/bin/sh", "-c", "exit 42"]);
  const times: number[] = [];
  let succeeded = 0;
  try {
    for (let boot = 0; boot < count; boot++) {
      const began = performance.now();
      const call = await containers.runtime.call([
        "run",
        "--bundle",
        container.bundle.directory,
        container.id,
      ]);
      times.push(performance.now() - began);
      if (call.exitCode === 42) succeeded++;
      else console.error(`boot ${boot + 1}: status ${call.exitCode}: ${call.stderr}`);
    }
  } finally {
    await containers.close();
  }
  report("boots", `${succeeded} of ${count} boots`, [figures("urunc run", times)], { succeeded, count });
  return succeeded;
}
