import { join } from "node:path";
import { succeed } from "./command.ts";

const SOURCE = join(import.meta.dir, "vsock-device.c");
const FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-static", "-Os", "-Wall", "-Wextra", "-Werror"];

/** Compiles the vsock of Firecracker and Cloud Hypervisor for QEMU (`vsock-device.c`), linked statically. */
export async function buildVsockDevice(program: string): Promise<void> {
  await succeed(["musl-gcc", ...FLAGS, SOURCE, "-o", program]);
}
