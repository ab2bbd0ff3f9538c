import { resolve } from "node:path";
import { succeed } from "./command.ts";

/** Compiles `syscalls.c`, static, for any image. */
export async function buildSyscalls(output: string): Promise<void> {
  const source = resolve(import.meta.dir, "syscalls.c");
  await succeed(["musl-gcc", "-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror", source, "-o", output]);
}
