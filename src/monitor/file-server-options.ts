/** An option of a file server, and the words of the command line that it is. */
export interface FileServerOption {
  /** For one behind `-o`, with that before it. */
  readonly name: string;
  readonly words: readonly string[];
}

/** Those that are the sandbox's own: what is served, to whom, and from where nothing else can be reached. */
export const RESERVED_OPTIONS: ReadonlySet<string> = new Set([
  ...["--fd", "--socket-path", "--socket-group", "--shared-dir", "--sandbox", "--seccomp", "--daemonize"],
  ...["-o source", "-o sandbox", "-f", "-d", "--print-capabilities", "--version", "--help", "-h", "-V"],
]);

/** Options that stand in one string, between blanks, as a shell without quotes splits them. */
export function splitWords(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** The options that words are; undefined: some word is no option. */
export function parseOptions(words: readonly string[]): FileServerOption[] | undefined {
  const options: FileServerOption[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    const next = words[at + 1];
    const value = next === undefined || next.startsWith("-") ? undefined : next;
    if (!/^--?[a-zA-Z]/.test(word)) return undefined;
    if (word.startsWith("-o")) {
      const list = word === "-o" ? value : word.slice(2);
      if (list === undefined) return undefined;
      if (word === "-o") at++;
      options.push(...list.split(",").map((one) => ({ name: `-o ${nameOf(one)}`, words: ["-o", one] })));
    } else if (value === undefined || word.includes("=")) {
      options.push({ name: nameOf(word), words: [word] });
    } else {
      options.push({ name: word, words: [word, value] });
      at++;
    }
  }
  return options;
}

function nameOf(word: string): string {
  return word.split("=", 1)[0] as string;
}

/** Options with others in their places, or behind them. */
export function withOptions(own: readonly string[], given: readonly string[]): string[] {
  if (given.length === 0) return [...own];
  const all = parseOptions(own) ?? [];
  const names = new Set((parseOptions(given) ?? []).map(({ name }) => name));
  return [...all.filter(({ name }) => !names.has(name)).flatMap(({ words }) => words), ...given];
}
