import { join } from "node:path";
import { succeed } from "./command.ts";

/** Builds `network-tool.c` as a static program at `path`. */
export async function buildNetworkTool(path: string): Promise<void> {
  await succeed(["musl-gcc", "-static", "-O2", join(import.meta.dir, "network-tool.c"), "-o", path]);
}
