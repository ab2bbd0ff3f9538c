import type { CommandOptions, CommandResult } from "./command.ts";
import { until } from "./command.ts";
import type { Docker } from "./docker.ts";

/** What tests do with the machines of a Docker. */
export class DockerMachines {
  readonly docker: Docker;

  constructor(docker: Docker) {
    this.docker = docker;
  }

  /** `docker run --rm --runtime urunc ARGS` */
  run(args: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return this.docker.run(["run", "--rm", "--runtime", "urunc", ...args], options);
  }

  /** The same, which must succeed; gives standard output. */
  output(args: readonly string[], options?: CommandOptions): Promise<string> {
    return this.docker.succeed(["run", "--rm", "--runtime", "urunc", ...args], options);
  }

  /** `docker run --detach`; gives the id. */
  detach(args: readonly string[], runtime: "urunc" | "runc" = "urunc"): Promise<string> {
    return this.docker.succeed(["run", "--detach", "--runtime", runtime, ...args]);
  }

  inspect(id: string, format: string): Promise<string> {
    return this.docker.succeed(["inspect", "--format", format, id]);
  }

  /** Both streams together. */
  async logs(id: string): Promise<string> {
    const { stdout, stderr } = await this.docker.run(["logs", id]);
    return stdout + stderr;
  }

  async untilLogged(id: string, text: string): Promise<void> {
    await until(`${id} prints ${text}`, async () => (await this.logs(id)).includes(text));
  }

  /** Waits for its end. */
  async exitCodeOf(id: string): Promise<number> {
    return Number(await this.docker.succeed(["wait", id]));
  }
}
