import { UruncError } from "../errors.ts";

/** One line of a fragment that sets an option or switches it off. */
export interface FragmentOption {
  /** With its prefix, as `CONFIG_PVH`. */
  option: string;
  /** As a configuration file writes it: `y`, a number, or a text in its quotes; undefined: switched off. */
  value: string | undefined;
  /** The comment above, in one line. */
  reason: string;
  file: string;
  line: number;
}

/** A file of options, each with its reason. */
export interface Fragment {
  /** As it was given to the parser; errors name it. */
  file: string;
  /** The comment at the file's head that no option follows; may be empty. */
  title: string;
  options: FragmentOption[];
}

const SET = /^(CONFIG_\w+)=(.*)$/;
const NOT_SET = /^# (CONFIG_\w+) is not set$/;
const COMMENT = /^#\s?(.*)$/;
/** Modules have no place in a kernel without a module loader, so that `m` is none of these. */
const VALUE = /^(?:y|-?\d+|0x[0-9a-fA-F]+|"(?:[^"\\]|\\.)*")$/;

/** The comment block that is being read. */
interface Block {
  lines: string[];
  /** Whether an option follows it already: then the next comment line begins another block. */
  used: boolean;
}

/**
 * Parses a fragment: each option takes its reason from the comment block above it, options without a comment between
 * them share one, and an empty line ends it.
 *
 * @param file how errors name the fragment
 * @throws UruncError `kernel-build` for an option without a reason, an option twice, or a line that is neither
 */
export function parseFragment(text: string, file: string): Fragment {
  const fragment: Fragment = { file, title: "", options: [] };
  let block: Block = { lines: [], used: false };
  const end = () => {
    if (!block.used && fragment.options.length === 0 && fragment.title === "") fragment.title = joined(block);
    block = { lines: [], used: false };
  };
  for (const [index, written] of text.split("\n").entries()) {
    const content = written.trimEnd();
    const option = parseOption(content, file, index + 1);
    if (option) {
      block.used = true;
      fragment.options.push({ ...option, reason: reasonOf(block, option), file, line: index + 1 });
    } else if (content === "") {
      end();
    } else {
      if (block.used) end();
      block.lines.push(commentOf(content, file, index + 1));
    }
  }
  end();
  checkOnce([fragment]);
  return fragment;
}

/**
 * The options of fragments that are used together, in their order.
 *
 * @throws UruncError `kernel-build` for an option that two of them have
 */
export function optionsOf(fragments: readonly Fragment[]): FragmentOption[] {
  checkOnce(fragments);
  return fragments.flatMap((fragment) => fragment.options);
}

/** An option as a line of a configuration file. */
export function optionLine(option: Pick<FragmentOption, "option" | "value">): string {
  return option.value === undefined ? `# ${option.option} is not set` : `${option.option}=${option.value}`;
}

/** Where an option is written, for error messages. */
export function placeOf(option: Pick<FragmentOption, "file" | "line">): string {
  return `${option.file}:${option.line}`;
}

function parseOption(
  content: string,
  file: string,
  line: number,
): Pick<FragmentOption, "option" | "value" | "file" | "line"> | undefined {
  const off = NOT_SET.exec(content);
  if (off) return { option: off[1] as string, value: undefined, file, line };
  const set = SET.exec(content);
  if (!set) return undefined;
  const [, option, value] = set as unknown as [string, string, string];
  if (VALUE.test(value)) return { option, value, file, line };
  throw new UruncError(
    "kernel-build",
    `${file}:${line}: ${option} has the value ${value || "(none)"}: write y, a number, a text in double quotes, ` +
      `or "# ${option} is not set"`,
  );
}

function commentOf(content: string, file: string, line: number): string {
  const comment = COMMENT.exec(content);
  if (comment) return (comment[1] as string).trim();
  throw new UruncError(
    "kernel-build",
    `${file}:${line}: ${JSON.stringify(content)} is neither an option (CONFIG_NAME=y) nor a comment`,
  );
}

function reasonOf(block: Block, option: Pick<FragmentOption, "option" | "file" | "line">): string {
  const reason = joined(block);
  if (reason !== "") return reason;
  throw new UruncError(
    "kernel-build",
    `${placeOf(option)}: ${option.option} has no reason: write a comment line directly above it`,
  );
}

function joined(block: Block): string {
  return block.lines.filter((line) => line !== "").join(" ");
}

function checkOnce(fragments: readonly Fragment[]): void {
  const seen = new Map<string, FragmentOption>();
  for (const option of fragments.flatMap((fragment) => fragment.options)) {
    const first = seen.get(option.option);
    if (first) {
      throw new UruncError(
        "kernel-build",
        `${placeOf(option)}: ${option.option} is there twice, first in ${placeOf(first)}: remove one of them`,
      );
    }
    seen.set(option.option, option);
  }
}
