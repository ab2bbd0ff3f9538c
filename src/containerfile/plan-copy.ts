import { posix } from "node:path";
import { wrongAt } from "../bunnyfile/position.ts";
import type { CopyInstruction } from "./instruction.ts";
import { destinationPath, sourcePath } from "./paths.ts";
import type { CopySource, CopyStep } from "./plan.ts";
import { sourceNamed } from "./plan-build.ts";
import type { StageContext } from "./stage-context.ts";
import { InstructionError } from "./wrong.ts";

const MOST_MODE = 0o7777;

/** Plans COPY and ADD. */
export function planCopy(instruction: CopyInstruction, context: StageContext): CopyStep {
  const { kind, from, link, parents, excludes, unpack } = instruction;
  const { expand, plan } = context;
  const expanded = (value: string | undefined) => expand(value ?? "");
  const chown = expanded(instruction.chown);
  const chmod = expanded(instruction.chmod);
  const checksum = expanded(instruction.checksum);
  const texts = instruction.sources.map(expand);
  const destination = expand(instruction.destination);
  const sources = texts.map((text) => pathOrUrl(text, kind, parents));
  const contents = instruction.heredocs.map(({ name, content, expand: isExpanded }): CopySource => {
    return { kind: "inline", name, content: isExpanded ? context.expandText(content) : content };
  });
  if (checksum !== "") checkChecksum(checksum, sources, contents);
  const words = [
    kind.toUpperCase(),
    ...(parents ? ["--parents"] : []),
    ...(chown === "" ? [] : [`--chown=${chown}`]),
    ...(chmod === "" ? [] : [`--chmod=${chmod}`]),
    ...texts,
    ...instruction.heredocs.map(({ name }) => `<<${name}`),
    destination,
  ];
  return {
    kind,
    at: instruction.at,
    title: context.title(),
    createdBy: `${words.join(" ")} # buildkit`,
    sources: [...sources, ...contents],
    destination: destinationPath(context.config.config?.WorkingDir ?? "/", destination),
    ...(from === undefined ? {} : { from: earlierSource(from, context, plan) }),
    ...(chown === "" ? {} : { chown }),
    ...(chmod === "" ? {} : { chmod: modeOf(chmod) }),
    link,
    parents,
    excludes,
    ...(checksum === "" ? {} : { checksum }),
    ...(unpack === undefined ? {} : { unpack }),
  };
}

/** What `--from` names; of this file's stages only one before can be, as a base's ONBUILD might not say. */
export function earlierSource(
  from: { value: string; at: StageContext["at"] },
  { planned }: StageContext,
  plan: StageContext["plan"],
  numbers = true,
) {
  const source = sourceNamed(from, plan, { numbers });
  if (source.kind === "stage" && source.index >= planned.stage.index) {
    throw wrongAt(
      plan.file.name,
      from.at,
      `cannot copy from stage ${JSON.stringify(from.value)}, it needs to be defined before current stage ` +
        JSON.stringify(planned.title),
    );
  }
  return source;
}

function pathOrUrl(text: string, kind: "copy" | "add", parents: boolean): CopySource {
  if (/^https?:\/\//.test(text)) {
    if (kind === "copy") throw new InstructionError("source can't be a URL for COPY");
    if (!URL.canParse(text)) throw new InstructionError(`${JSON.stringify(text)} is no URL`);
    const name = posix.basename(decoded(new URL(text).pathname));
    return { kind: "url", url: text, name: name === "" ? "__unnamed__" : name };
  }
  const path = sourcePath(text);
  const pivot = text.indexOf("/./");
  return { kind: "path", path, below: parents && pivot >= 0 ? sourcePath(text.slice(pivot + 3)) : path };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function checkChecksum(
  checksum: string,
  sources: readonly CopySource[],
  contents: readonly CopySource[],
): void {
  const [only, ...others] = [...sources, ...contents];
  if (others.length > 0) throw new InstructionError("checksum can't be specified for multiple sources");
  if (only?.kind !== "url") throw new InstructionError("checksum requires HTTP(S) or Git sources");
  if (!/^sha256:[0-9a-f]{64}$/.test(checksum)) {
    throw new InstructionError(
      `--checksum is sha256: and 64 hexadecimal digits, not ${JSON.stringify(checksum)}`,
    );
  }
}

function modeOf(text: string): number {
  const mode = /^[0-7]{1,11}$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
  if (mode <= MOST_MODE) return mode;
  throw new InstructionError(
    `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
  );
}
