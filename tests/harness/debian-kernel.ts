import { globSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { command, succeed } from "./command.ts";

/** Debian's own kernel for machines of clouds, with all drivers as modules. */
export interface DebianKernel {
  /** A `bzImage`. */
  readonly image: string;
  /** The modules by their names without `.ko`. */
  module(name: string): string;
}

const PACKAGE = "linux-image-cloud-amd64";

/** Unpacks it into a directory below `parent`. Root only. */
export async function unpackDebianKernel(parent: string): Promise<DebianKernel> {
  const directory = join(parent, "debian-kernel");
  mkdirSync(directory);
  // The package of this name is none but for what it depends on, which has a version in its name.
  const depends = await succeed(["apt-cache", "depends", PACKAGE]);
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Error(`apt does not know ${PACKAGE}: run "apt-get update"`);
  const download = ["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", name];
  if ((await command(download, { cwd: directory })).exitCode !== 0) {
    await succeed(["apt-get", "update", "--quiet"]);
    await succeed(download, { cwd: directory });
  }
  await succeed(["sh", "-c", "dpkg-deb --extract *.deb tree"], { cwd: directory });
  const [image] = globSync(join(directory, "tree/boot/vmlinuz-*"));
  if (image === undefined) throw new Error(`${name} has no kernel`);
  return {
    image,
    module(module) {
      const [path] = globSync(join(directory, `tree/lib/modules/**/${module}.ko`));
      if (path === undefined) throw new Error(`${name} has no module ${module}`);
      return path;
    },
  };
}
