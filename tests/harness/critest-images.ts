import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { succeed } from "./command.ts";
import { ensureImage, type Image } from "./images.ts";
import { layOut } from "./laid-out.ts";

const EFFECTIVE_USER = join(import.meta.dir, "effective-user.c");

/** What critest's images run, by their names: all have the same files, of our images of busybox and nginx. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  "registry.k8s.io/e2e-test-images/busybox:1.29-2": ["sh"],
  "registry.k8s.io/e2e-test-images/nginx:1.14-2": ["nginx"],
  // Its first line names it.
  "registry.k8s.io/e2e-test-images/httpd:2.4.39-4": ["sh", "-c", "echo httpd; exec nginx"],
  "registry.k8s.io/e2e-test-images/nonewprivs:1.3": ["effective-user"],
  "gcr.io/k8s-staging-cri-tools/hostnet-nginx-amd64:latest": ["nginx", "-c", "/etc/nginx/hostnet.conf"],
};

/** Makes docker-archives of what does the same as those of critest's images that it runs. Root only. */
export async function critestImages(parent: string): Promise<Image[]> {
  const base = await filesOfAll(parent);
  try {
    const images: Image[] = [];
    for (const [reference, command] of Object.entries(COMMANDS)) {
      const process = { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] };
      const archive = await layOut(parent, { base, files: {}, command, reference, process });
      images.push({ archive, reference });
    }
    return images;
  } finally {
    rmSync(base);
  }
}

/** A docker-archive of one layer that has no name and says nothing of a process. */
async function filesOfAll(parent: string): Promise<string> {
  const directory = mkdtempSync(join(parent, "critest-images-"));
  const rootfs = join(directory, "rootfs");
  mkdirSync(rootfs, { mode: 0o755 });
  for (const name of ["busybox", "nginx"] as const) {
    const layer = `tar -xOf "$1" layer.tar | tar -xp --keep-directory-symlink -C "$2"`;
    await succeed(["sh", "-ec", layer, "layer", (await ensureImage(name)).archive, rootfs]);
  }
  const bin = join(rootfs, "usr/bin");
  // Debian's busybox lacks these two.
  writeProgram(join(bin, "pgrep"), 'exec pidof "$@"\n');
  writeProgram(join(bin, "ipcs"), "exec cat /proc/sysvipc/shm\n");
  const user = join(bin, "effective-user");
  await succeed(["musl-gcc", "-static", "-O2", "-s", EFFECTIVE_USER, "-o", user]);
  chmodSync(user, 0o4755);
  await succeed(["ln", "-s", "/run", join(rootfs, "var/run")]);
  const nginx = join(rootfs, "etc/nginx");
  const configuration = readFileSync(join(nginx, "nginx.conf"), "utf8");
  writeFileSync(join(nginx, "hostnet.conf"), configuration.replaceAll(/(listen .*)80;/g, "$112003;"));

  await succeed(["tar", "-cf", join(directory, "layer.tar"), "--numeric-owner", "-C", rootfs, "."]);
  writeFileSync(join(directory, "manifest.json"), JSON.stringify([{ Layers: ["layer.tar"] }]));
  const archive = `${directory}.tar`;
  await succeed(["tar", "-cf", archive, "-C", directory, "manifest.json", "layer.tar"]);
  rmSync(directory, { recursive: true });
  return archive;
}

function writeProgram(path: string, script: string): void {
  writeFileSync(path, `#!/bin/sh\n${script}`);
  chmodSync(path, 0o755);
}
