import { UruncError } from "../errors.ts";
import { kernelCommand } from "../kernel/command.ts";
import { VERSION } from "../version.ts";
import { rootfsCommand } from "./rootfs.ts";

const HELP = `bunny - makes what virtual machines are booted from

Usage: bunny COMMAND [flags] [arguments]

Commands:
  kernel build             build the guest kernel
  kernel config            show the guest kernel's options and their reasons
  rootfs                   make a root file system of an image's layers

Flags:
  -h, --help               show help
  -v, --version            print the version
`;

/**
 * The command `bunny`.
 *
 * @param words the command line without the program's name
 * @returns the exit status
 */
export async function bunny(words: readonly string[]): Promise<number> {
  const [command, ...rest] = words;
  try {
    switch (command) {
      case undefined:
      case "help":
      case "-h":
      case "--help":
        process.stdout.write(HELP);
        return 0;
      case "-v":
      case "--version":
        process.stdout.write(`bunny version ${VERSION}\n`);
        return 0;
      case "kernel":
        return await kernelCommand(rest);
      case "rootfs":
        return await rootfsCommand(rest);
      default:
        throw new UruncError("usage", `bunny has no command ${JSON.stringify(command)}: see "bunny --help"`);
    }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UruncError ? error.exitStatus : 1;
  }
}
