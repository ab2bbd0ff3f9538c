import { UruncError } from "../errors.ts";

/** Where images have the init that is made for them. */
const INIT = "/urunit";

/**
 * What an image's command line runs where the agent is the init: an init of the image's own is left out, as the agent
 * does what it would do. That joins words between quotes again, which other tools have split at each blank.
 *
 * @throws UruncError `bundle-invalid`: there is nothing behind the init
 */
export function applicationWords(args: readonly string[]): string[] {
  if (args[0] !== INIT) return [...args];
  const words = joinQuoted(args.slice(1));
  if (words.length > 0) return words;
  throw new UruncError(
    "bundle-invalid",
    `the container's command is ${INIT} alone: name the program that it is to start behind it`,
  );
}

/** A word that begins with a quote goes up to one that ends with it; without such a one it stays as it is. */
export function joinQuoted(words: readonly string[]): string[] {
  const joined: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    const end = closingWord(words, at);
    joined.push(
      end === undefined
        ? word
        : words
            .slice(at, end + 1)
            .join(" ")
            .slice(1, -1),
    );
    at = end ?? at;
  }
  return joined;
}

function closingWord(words: readonly string[], from: number): number | undefined {
  const first = words[from] as string;
  const quote = first[0];
  // A word with a blank in it was never split.
  if ((quote !== "'" && quote !== '"') || /\s/.test(first)) return undefined;
  if (first.length > 1 && first.endsWith(quote)) return from;
  const end = words.findIndex((word, index) => index > from && word.endsWith(quote));
  return end < 0 ? undefined : end;
}
