import { copyFileSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildInitramfs } from "../../src/image/initramfs.ts";
import { succeed } from "./command.ts";

const ROOT = join(import.meta.dir, "../..");
const SHARE = join(ROOT, "dist/share/urunc");
const SOURCE = join(import.meta.dir, "hostile-guest.c");
const MARK = "HOSTILE-GUEST-MODE";

/** Machines whose `/init` is not the agent, but a program that misbehaves in one way. */
export interface HostileGuests {
  /**
   * An environment in which urunc boots it.
   *
   * @param mode one of `hostile-guest.c`
   * @param bootTimeout milliseconds
   */
  environment(mode: string, bootTimeout?: number): Record<string, string>;
  /** The path of an initramfs with it, for another machine than urunc's. */
  initramfs(mode: string): string;
  /** One in which it boots the honest agent, which finds no port of its name. */
  withoutPort(): Record<string, string>;
  remove(): void;
}

/** Compiles the program; the rest of the guest is this checkout's. */
export async function openHostileGuests(): Promise<HostileGuests> {
  mkdirSync(join(ROOT, "build"), { recursive: true });
  // Where the kernel is, so that a hard link is enough: what is mounted into a sandbox is this directory alone.
  const directory = mkdtempSync(join(ROOT, "build/hostile-"));
  const program = join(directory, "init");
  await succeed(["musl-gcc", "-static", "-Os", "-s", SOURCE, "-o", program]);
  const hostile = readFileSync(program);

  /** The same bytes but for a text wherever it is, which is filled up with zeroes. */
  const changed = (program: Buffer, from: string, to: string) => {
    const copy = Buffer.from(program);
    if (!copy.includes(from)) throw new Error(`the program does not have ${from}`);
    for (let at = copy.indexOf(from); at >= 0; at = copy.indexOf(from, at + from.length)) {
      copy.fill(0, at, at + from.length);
      copy.write(to, at);
    }
    return copy;
  };
  const environment = (name: string, init: Buffer, bootTimeout: number) => {
    const share = mkdtempSync(join(directory, `${name}-`));
    for (const file of ["vmlinux", "urunc-standin"]) link(join(SHARE, file), join(share, file));
    writeFileSync(join(share, "initramfs.cpio"), buildInitramfs({ urunit: init }));
    const config = join(share, "config.toml");
    const lines = ["[runtime]", `share = ${JSON.stringify(share)}`, `boot_timeout_ms = ${bootTimeout}`, ""];
    writeFileSync(config, lines.join("\n"));
    return { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: config };
  };

  return {
    environment: (mode, bootTimeout = 60_000) => environment(mode, changed(hostile, MARK, mode), bootTimeout),
    initramfs(mode) {
      const path = join(directory, `${mode}.cpio`);
      writeFileSync(path, buildInitramfs({ urunit: changed(hostile, MARK, mode) }));
      return path;
    },
    withoutPort() {
      const agent = readFileSync(join(SHARE, "urunit"));
      return environment("no-port", changed(agent, "urunc.agent.0", "urunc.agent.9"), 60_000);
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function link(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
