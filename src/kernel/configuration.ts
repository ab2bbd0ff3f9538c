import { type FragmentOption, optionLine, placeOf } from "./fragment.ts";

/** A `.config`: the options that are set, by name with its prefix, values as written there. */
export type Configuration = ReadonlyMap<string, string>;

/** Figures of a configuration. */
export interface OptionCounts {
  /** Lines `CONFIG_…=y`, of which most are hidden symbols. */
  enabled: number;
  /** Those that a person can choose: their symbol has a prompt. */
  selectable: number;
  /** Those that a fragment asks for. */
  chosen: number;
}

/** Parses a `.config`; options that are not set are not in the result, whether it says so or not. */
export function parseConfiguration(text: string): Configuration {
  const options = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^(CONFIG_\w+)=(.*)$/.exec(line);
    if (match) options.set(match[1] as string, match[2] as string);
  }
  return options;
}

/**
 * What the kernel's configuration tool made of the requested options.
 *
 * @returns one sentence for each that is not as requested, with its place in the fragments
 */
export function compare(requested: readonly FragmentOption[], resulting: Configuration): string[] {
  return requested.flatMap((option) => {
    const value = resulting.get(option.option);
    return value === option.value ? [] : [difference(option, value)];
  });
}

function difference(option: FragmentOption, value: string | undefined): string {
  const start = `${placeOf(option)}: ${optionLine(option)}`;
  if (option.value === undefined) {
    return `${start}: it is on all the same (${value}), as another option needs it`;
  }
  if (value === undefined) {
    return `${start}: dropped, as this kernel has no such option or something that it depends on is off`;
  }
  return `${start}: the kernel's configuration has ${value}`;
}

/**
 * Counts the options of a configuration.
 *
 * @param prompts the symbols that a person can choose, without prefix
 */
export function count(
  configuration: Configuration,
  requested: readonly FragmentOption[],
  prompts: ReadonlySet<string>,
): OptionCounts {
  const enabled = [...configuration].filter(([, value]) => value === "y").map(([option]) => option);
  const chosen = new Set(requested.filter((option) => option.value === "y").map((option) => option.option));
  return {
    enabled: enabled.length,
    // What a fragment can set has a prompt, wherever Kconfig wrote it.
    selectable: enabled.filter((option) => chosen.has(option) || prompts.has(option.replace("CONFIG_", "")))
      .length,
    chosen: enabled.filter((option) => chosen.has(option)).length,
  };
}
