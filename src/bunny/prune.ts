import { prune as pruneLayout } from "../image/store/prune.ts";
import { openStore } from "../image/store/store.ts";
import { parseCommand, readableSize, STORE_FLAGS } from "./command.ts";

const HELP = `bunny prune - removes from the store what no image has

Usage: bunny prune [flags]

Also removed is what interrupted pulls have left. It waits until nobody uses the store.

Flags:
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -h, --help               show help
`;

/** `bunny prune`. */
export async function prune(words: readonly string[]): Promise<number> {
  const parsed = parseCommand(words, "bunny prune", HELP, STORE_FLAGS, [0, 0]);
  if (parsed === undefined) return 0;
  const { blobs, bytes } = await pruneLayout(openStore(parsed.flags.store));
  process.stdout.write(`removed ${blobs} file${blobs === 1 ? "" : "s"}, ${readableSize(bytes)}\n`);
  return 0;
}
