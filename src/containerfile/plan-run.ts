import { commandLine } from "./configure.ts";
import type { RunInstruction } from "./instruction.ts";
import { parseHeredoc, withoutTabs } from "./lines.ts";
import type { RunStep } from "./plan.ts";
import { earlierSource } from "./plan-copy.ts";
import { proxyEnvironment } from "./proxy.ts";
import { readRunMount } from "./run-mount.ts";
import { type StageContext, shellOf } from "./stage-context.ts";

/** Where the file of a heredoc is that is a program itself. */
const SCRIPTS = "/dev/pipes";

/** Plans RUN. */
export function planRun(instruction: RunInstruction, context: StageContext): RunStep {
  const { plan, environment, config } = context;
  const { argv, script, summary } = programOf(instruction, context);
  const workingDirectory = config.config?.WorkingDir || "/";
  const mounts = instruction.mounts.map((mount) =>
    readRunMount(mount, {
      expand: context.expand,
      source: (value) => earlierSource({ value, at: mount.at }, context, plan, false),
      workingDirectory,
    }),
  );
  const env = new Map(environment);
  const unkeyed: string[] = [];
  for (const [name, value] of proxyEnvironment(plan.request.buildArgs)) {
    if (env.has(name)) continue;
    env.set(name, value);
    unkeyed.push(`${name}=${value}`);
  }
  return {
    kind: "run",
    at: instruction.at,
    title: `${context.title()}${summary}`,
    createdBy: `RUN ${[...argumentWords(context), ...argv].join(" ")} # buildkit`,
    argv,
    ...(script === undefined ? {} : { script }),
    env: [...env].map((pair) => pair.join("=")),
    unkeyed,
    workingDirectory,
    user: config.config?.User ?? "",
    mounts,
    network: instruction.network,
  };
}

/** What is run: heredocs are the shell's input, or its line, or a program of their own. */
function programOf({ command, heredocs }: RunInstruction, context: StageContext) {
  const [first] = heredocs;
  if (command.form === "exec" || first === undefined) {
    return { argv: commandLine(command, context), summary: "" };
  }
  if (parseHeredoc(command.line) === undefined) {
    const files = heredocs.map(({ content, name }) => `\n${content}${name}`);
    return { argv: [...shellOf(context), command.line + files.join("")], summary: "" };
  }
  const content = first.chomp ? withoutTabs(first.content) : first.content;
  const [line = "", ...others] = first.content.trim().split(/\r?\n/);
  const summary = ` (${line}${others.length > 0 ? "..." : ""})`;
  if (!content.startsWith("#!")) return { argv: [...shellOf(context), content], summary };
  const path = `${SCRIPTS}/${first.name}`;
  return { argv: [path], script: { path, content }, summary };
}

/** ARGs, as the history of a RUN has them: their number, and each with its value. */
function argumentWords({ args, environment }: StageContext): string[] {
  const words = [...args].map(([name, value]) => `${name}=${environment.get(name) ?? value ?? ""}`);
  return words.length === 0 ? [] : [`|${words.length}`, ...words];
}
