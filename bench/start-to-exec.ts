import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostTscKhz } from "../src/monitor/tsc-rate.ts";
import { makeBundle } from "../tests/harness/bundle.ts";
import { openContainers } from "../tests/harness/containers.ts";
import { ensureImage } from "../tests/harness/images.ts";
import { figures, inTurn, report, type Subject } from "./measure.ts";

const SHARE = join(import.meta.dir, "../dist/share/urunc");

/** What is to be seen on the guide's machine when its application runs. */
const READY = "the application runs";

/**
 * From the start to the application's execution, the same image on the same kernel: `urunc start`, all of it, against
 * the guide's recipe from its monitor's start alone (the `pc` machine, the compressed kernel, the application as init).
 */
export async function startToExec(rounds: number): Promise<{ ours: number; guide: number }> {
  const image = await ensureImage("debian");
  const containers = await openContainers("debian");
  const directory = mkdtempSync(join(tmpdir(), "urunc-bench-"));
  try {
    const { rootfs } = await makeBundle(image.archive, { id: "guide", parent: directory, args: ["true"] });
    const ours: Subject = {
      name: "urunc start",
      async run() {
        const container = await containers.plan(["/bin/true"]);
        await containers.create(container);
        const began = performance.now();
        await containers.runtime.succeed(["start", container.id]);
        const time = performance.now() - began;
        await containers.runtime.succeed(["delete", "--force", container.id]);
        rmSync(container.bundle.directory, { recursive: true });
        return time;
      },
    };
    const rows = await inTurn([ours, { name: "the guide's recipe", run: () => guide(rootfs) }], rounds);
    report("start-to-exec", "Start → the application's execution", rows);
    return { ours: rows[0]?.median ?? Number.NaN, guide: rows[1]?.median ?? Number.NaN };
  } finally {
    await containers.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The guide's QEMU, less what emulation does not have, and with the clock's rate: else one boot in five hangs. */
async function guide(rootfs: string): Promise<number> {
  const khz = hostTscKhz("/run/urunc", join(SHARE, "urunc-standin"));
  const rootflags = "trans=virtio,version=9p2000.L,msize=5000000,cache=mmap,posixacl";
  const append = [
    ...["panic=-1", "console=ttyS0", `tsc_early_khz=${khz}`],
    ...["root=fs0", "rw", "rootfstype=9p", `rootflags=${rootflags}`],
    ...["init=/bin/echo", "--", `'${READY}'`],
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
      if (/^the application runs/m.test(text.replaceAll("\r", ""))) return performance.now() - began;
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
