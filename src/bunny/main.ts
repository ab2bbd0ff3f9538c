import { UruncError } from "../errors.ts";
import { kernelCommand } from "../kernel/command.ts";
import { VERSION } from "../version.ts";

const HELP = `bunny - makes what virtual machines are booted from, and handles images

Usage: bunny COMMAND [flags] [arguments]

Commands:
  build                    build a bootable image
  kernel build             build the guest kernel
  kernel config            show the guest kernel's options and their reasons
  kernel push, image       publish the guest kernel as an image
  urunit push, image       publish the guest's init as an image
  frontend push, image     publish what builds images in BuildKit, for docker build
  --LLB                    print the definition of a build, for buildctl
  run                      run an image as a virtual machine
  ps                       list machines
  start                    start machines that have ended, again
  attach                   show what a machine writes from now on
  logs                     show what a machine has written
  exec                     run a further command in a machine
  stop                     ask machines to end
  kill                     send machines a signal
  wait                     wait for machines to end
  rm                       remove machines
  rootfs                   make a root file system of an image
  pull                     bring an image from its registry into the store
  push                     bring an image of the store to its registry
  copy                     copy an image from one place to another
  images                   list the images of the store
  inspect                  say what a machine or an image is
  explain                  say how a machine of an image or bundle would be started, and why so
  rmi                      remove images from the store
  prune                    remove from the store what no image has

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
      case "build":
        return await (await import("./build.ts")).build(rest);
      case "kernel":
        return await kernelCommand(rest);
      case "urunit":
        return await (await import("./publish.ts")).urunitCommand(rest);
      case "frontend":
        return await (await import("./frontend.ts")).frontendCommand(rest);
      case "--LLB":
        return await (await import("./llb.ts")).llb(rest);
      case "run":
        return await (await import("./run.ts")).run(rest);
      case "ps":
        return await (await import("./ps.ts")).ps(rest);
      case "start":
        return await (await import("./start.ts")).start(rest);
      case "attach":
        return await (await import("./attach.ts")).attach(rest);
      case "logs":
        return await (await import("./logs.ts")).logs(rest);
      case "exec":
        return await (await import("./exec.ts")).exec(rest);
      case "stop":
        return await (await import("./stop.ts")).stop(rest);
      case "kill":
        return await (await import("./kill.ts")).kill(rest);
      case "wait":
        return await (await import("./wait.ts")).wait(rest);
      case "rm":
        return await (await import("./rm.ts")).rm(rest);
      case "machine-ended":
        return await (await import("./machine-ended.ts")).machineEnded(rest);
      case "machine-observed":
        return await (await import("./machine-observed.ts")).machineObserved(rest);
      case "rootfs":
        return await (await import("./rootfs.ts")).rootfsCommand(rest);
      case "pull":
        return await (await import("./pull.ts")).pull(rest);
      case "push":
        return await (await import("./push.ts")).push(rest);
      case "copy":
        return await (await import("./copy.ts")).copy(rest);
      case "images":
        return await (await import("./images.ts")).images(rest);
      case "inspect":
        return await (await import("./inspect.ts")).inspect(rest);
      case "explain":
        return await (await import("./explain.ts")).explain(rest);
      case "rmi":
        return await (await import("./rmi.ts")).rmi(rest);
      case "prune":
        return await (await import("./prune.ts")).prune(rest);
      default:
        throw new UruncError("usage", `bunny has no command ${JSON.stringify(command)}: see "bunny --help"`);
    }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UruncError ? error.exitStatus : 1;
  }
}
