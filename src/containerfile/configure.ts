import type { ProcessDocument } from "../build/image.ts";
import { signalNumber } from "../machines/signals.ts";
import { durationText, plainList, quotedList } from "./go-text.ts";
import type {
  ArgInstruction,
  Command,
  CopyInstruction,
  Health,
  OnbuildInstruction,
  RunInstruction,
  StageInstruction,
  WorkdirInstruction,
} from "./instruction.ts";
import { exposedPorts } from "./ports.ts";
import { type StageContext, shellOf } from "./stage-context.ts";
import { InstructionError } from "./wrong.ts";

/** Instructions that change what the image says, and make no files. */
export type ConfigureInstruction = Exclude<
  StageInstruction,
  ArgInstruction | CopyInstruction | OnbuildInstruction | RunInstruction | WorkdirInstruction
>;

/**
 * Changes the configuration of a stage.
 *
 * @param keepsCommand whether a CMD stays where ENTRYPOINT comes: one of the same stage does, the base's does not
 * @returns `created_by` of the history
 */
export function configure(
  instruction: ConfigureInstruction,
  context: StageContext,
  keepsCommand: boolean,
): string {
  const { expand } = context;
  const config = context.config.config as ProcessDocument;
  switch (instruction.kind) {
    case "cmd": {
      config.Cmd = commandLine(instruction.command, context);
      // As BuildKit writes it; engines for Linux do not look at it.
      config["ArgsEscaped"] = true;
      return `CMD ${quotedList(config.Cmd)}`;
    }
    case "entrypoint": {
      config.Entrypoint = commandLine(instruction.command, context);
      if (!keepsCommand) delete config.Cmd;
      return `ENTRYPOINT ${quotedList(config.Entrypoint)}`;
    }
    case "env": {
      const pairs = instruction.pairs.map(({ key, value }) => [expand(key), expand(value)] as const);
      for (const [name, value] of pairs) {
        config.Env = withVariable(config.Env ?? [], name, value);
        context.environment.set(name, value);
      }
      return `ENV ${pairs.map((pair) => pair.join("=")).join(" ")}`;
    }
    case "label": {
      const pairs = instruction.pairs.map(({ key, value }) => [expand(key), expand(value)] as const);
      config.Labels = { ...config.Labels, ...Object.fromEntries(pairs) };
      return `LABEL ${pairs.map((pair) => pair.join("=")).join(" ")}`;
    }
    case "expose": {
      const ports = exposedPorts(instruction.words.flatMap(context.expandWords));
      config.ExposedPorts = { ...config.ExposedPorts, ...emptyObjects(ports) };
      return `EXPOSE ${plainList(ports)}`;
    }
    case "volume": {
      const volumes = instruction.words.map(expand);
      if (volumes.includes("")) throw new InstructionError("VOLUME specified can not be an empty string");
      config.Volumes = { ...config.Volumes, ...emptyObjects(volumes) };
      return `VOLUME ${plainList(volumes)}`;
    }
    case "user":
      config.User = expand(instruction.value);
      return `USER ${config.User}`;
    case "stopsignal":
      config.StopSignal = checkedSignal(expand(instruction.value));
      return `STOPSIGNAL ${config.StopSignal}`;
    case "maintainer":
      context.config.author = instruction.value;
      return `MAINTAINER ${instruction.value}`;
    case "shell":
      config["Shell"] = instruction.words;
      return `SHELL ${plainList(instruction.words)}`;
    case "healthcheck":
      config["Healthcheck"] = healthDocument(instruction.health);
      return `HEALTHCHECK ${healthText(instruction.health)}`;
  }
}

/** The words of a command, the shell before a line of it. */
export function commandLine(command: Command, context: StageContext): string[] {
  return command.form === "exec" ? [...command.words] : [...shellOf(context), command.line];
}

function withVariable(env: readonly string[], name: string, value: string): string[] {
  const entry = `${name}=${value}`;
  const at = env.findIndex((one) => one.split("=", 1)[0] === name);
  return at < 0 ? [...env, entry] : env.with(at, entry);
}

function emptyObjects(names: readonly string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, {}]));
}

function checkedSignal(text: string): string {
  try {
    signalNumber(text);
    return text;
  } catch (cause) {
    throw new InstructionError(`invalid signal: ${text}`, { cause });
  }
}

/** As Docker's image specification has it; what is 0 is left out. */
function healthDocument({ test, interval, timeout, startPeriod, startInterval, retries }: Health) {
  const numbers = {
    Interval: interval,
    Timeout: timeout,
    StartPeriod: startPeriod,
    StartInterval: startInterval,
    Retries: retries,
  };
  return { Test: test, ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== 0)) };
}

function healthText({ test, interval, timeout, startPeriod, startInterval, retries }: Health): string {
  const times = {
    Interval: interval,
    Timeout: timeout,
    StartPeriod: startPeriod,
    StartInterval: startInterval,
  };
  const words = Object.entries(times).map(([name, value]) => `${name}:${durationText(value)}`);
  return `{Test:${plainList(test)} ${words.join(" ")} Retries:${retries}}`;
}
