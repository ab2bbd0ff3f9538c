import { type Position, wrongAt } from "../bunnyfile/position.ts";
import { UruncError } from "../errors.ts";
import type { Containerfile, Stage, StageInstruction } from "./instruction.ts";
import { readLines } from "./lines.ts";
import { parseInstruction } from "./parse-instruction.ts";

const MOST_STAGES = 1000;

/**
 * Parses a Containerfile: docs/containerfile.md. Nothing but its text is looked at.
 *
 * @param name of the file, for sentences
 * @throws UruncError `build-file` with file, line and column of what is wrong
 */
export function parseContainerfile(text: string, name: string): Containerfile {
  const start = { line: 1, column: 1 };
  if (text === "") throw wrongAt(name, start, "the Dockerfile cannot be empty");
  const { escapeToken, lines, warnings } = readLines(text, name);
  if (lines.length === 0) throw wrongAt(name, start, "file with no instructions");
  const file: Containerfile = { name, escapeToken, globals: [], stages: [], warnings };
  for (const line of lines) {
    const instruction = parseInstruction(line, escapeToken, name);
    const stage = file.stages.at(-1);
    if (instruction.kind === "from") {
      const { as } = instruction;
      if (as !== undefined && file.stages.some((one) => one.name === as.value)) {
        warnings.push(`${name}:${as.at.line}:${as.at.column}: a stage before is called ${as.value}, too`);
      }
      if (file.stages.length === MOST_STAGES) {
        throw wrongAt(name, instruction.at, `a file has at most ${MOST_STAGES} stages`);
      }
      file.stages.push({
        index: file.stages.length,
        ...(as === undefined ? {} : { name: as.value }),
        from: instruction,
        instructions: [],
      });
    } else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === "arg") file.globals.push(instruction);
    else
      throw wrongAt(name, instruction.at, "no build stage in current context: the first instruction is FROM");
  }
  if (file.stages.length === 0) throw wrongAt(name, start, "dockerfile contains no stages to build");
  return file;
}

/**
 * Parses a trigger of a base's ONBUILD.
 *
 * @param at the FROM that names the base, for sentences
 * @throws UruncError `build-file`
 */
export function parseTrigger(text: string, at: Position, name: string): StageInstruction {
  const wrong = (sentence: string, cause?: unknown) =>
    wrongAt(name, at, `the base's ONBUILD ${JSON.stringify(text.slice(0, 200))}: ${sentence}`, cause);
  try {
    const { escapeToken, lines } = readLines(text, name);
    const [line, ...others] = lines;
    if (line === undefined || others.length > 0) throw wrong("onbuild trigger should be a single expression");
    const instruction = parseInstruction({ ...line, at: () => at }, escapeToken, name);
    if (instruction.kind === "from") throw wrong("FROM isn't allowed as an ONBUILD trigger");
    return instruction;
  } catch (error) {
    if (!(error instanceof UruncError) || error.message.includes("the base's ONBUILD")) throw error;
    throw wrong(error.message.replace(/^.*?:\d+:\d+: /s, ""), error);
  }
}

/** What a stage is called for people. */
export function stageTitle({ name, index }: Stage): string {
  return name ?? `stage-${index}`;
}
