import { UruncError } from "../errors.ts";
import { familiarName, formatReference, parseReference } from "../image/spec/reference.ts";
import { removeImage } from "../image/store/prune.ts";
import { openStore } from "../image/store/store.ts";
import { parseCommand, readableSize, STORE_FLAGS } from "./command.ts";

const HELP = `bunny rmi - removes images from the store

Usage: bunny rmi [flags] NAME...

Content that no other image has goes with them.

Flags:
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -h, --help               show help
`;

/** `bunny rmi`. */
export async function rmi(words: readonly string[]): Promise<number> {
  const parsed = parseCommand(words, "bunny rmi", HELP, STORE_FLAGS, [1, Number.POSITIVE_INFINITY]);
  if (parsed === undefined) return 0;
  // All names are looked at before anything is removed.
  const references = parsed.words.map(parseReference);
  const layout = openStore(parsed.flags.store);
  for (const reference of references) {
    const called = familiarName(reference);
    const removed = await removeImage(layout, formatReference(reference));
    if (removed === undefined) {
      throw new UruncError("image-missing", `the store has no image ${called}: see "bunny images"`);
    }
    const what = removed.inUse
      ? 'its content stays for now, as the store is in use: "bunny prune" removes it later'
      : readableSize(removed.bytes);
    process.stdout.write(`removed ${called}, ${what}\n`);
  }
  return 0;
}
