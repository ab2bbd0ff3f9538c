import { basename } from "node:path";
import { type Fragment, type FragmentOption, optionLine } from "./fragment.ts";

/** The ways to show what a kernel is configured with. */
export const FORMATS = ["text", "config", "json"] as const;
export type Format = (typeof FORMATS)[number];

/** Shows every option of fragments with its reason. */
export function listing(fragments: readonly Fragment[], format: Format): string {
  if (format === "json") return asJson(fragments);
  return format === "config" ? asConfig(fragments) : asText(fragments);
}

function asText(fragments: readonly Fragment[]): string {
  const groups = fragments.map((fragment) => {
    const title = fragment.title === "" ? "" : `: ${fragment.title}`;
    const options = byReason(fragment).map(({ reason, options }) =>
      [...options.map((option) => `  ${optionLine(option)}`), `      ${reason}`].join("\n"),
    );
    return [`${basename(fragment.file)}${title}`, ...options].join("\n");
  });
  const { on, off } = counts(fragments);
  return `${groups.join("\n\n")}\n\n${on} options set, ${off} switched off\n`;
}

/** One configuration file, for the kernel's own tools. */
function asConfig(fragments: readonly Fragment[]): string {
  const groups = fragments.map((fragment) => {
    const options = byReason(fragment).map(({ reason, options }) =>
      [`# ${reason}`, ...options.map(optionLine)].join("\n"),
    );
    return [`# ${basename(fragment.file)}`, "", ...options].join("\n");
  });
  return `${groups.join("\n\n")}\n`;
}

function asJson(fragments: readonly Fragment[]): string {
  const document = {
    fragments: fragments.map((fragment) => ({
      file: basename(fragment.file),
      title: fragment.title,
      options: fragment.options.map(({ option, value, reason, line }) => ({
        option,
        // Absent in JSON would read as forgotten.
        value: value ?? null,
        reason,
        line,
      })),
    })),
    counts: counts(fragments),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function counts(fragments: readonly Fragment[]): { on: number; off: number } {
  const options = fragments.flatMap((fragment) => fragment.options);
  const on = options.filter((option) => option.value !== undefined).length;
  return { on, off: options.length - on };
}

/** Neighbours that share a comment. */
function byReason(fragment: Fragment): { reason: string; options: FragmentOption[] }[] {
  const groups: { reason: string; options: FragmentOption[] }[] = [];
  for (const option of fragment.options) {
    const last = groups.at(-1);
    if (last?.reason === option.reason) last.options.push(option);
    else groups.push({ reason: option.reason, options: [option] });
  }
  return groups;
}
