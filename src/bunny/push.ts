import { familiarName, parseReference } from "../image/spec/reference.ts";
import { access, PLATFORM_FLAG, parseCommand, platformOf, STORE_FLAGS } from "./command.ts";
import { transfer } from "./transfer.ts";

const HELP = `bunny push - brings an image of the store to its registry

Usage: bunny push [flags] NAME

To push it under another name: bunny copy NAME docker://OTHER. Prints the image's name and digest.

Flags:
  --platform PLATFORM      of an image for several platforms, only the one for PLATFORM
  -q, --quiet              no progress
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -h, --help               show help
`;

/** `bunny push`. */
export async function push(words: readonly string[]): Promise<number> {
  const options = { ...STORE_FLAGS, ...PLATFORM_FLAG, quiet: { type: "boolean", short: "q" } } as const;
  const parsed = parseCommand(words, "bunny push", HELP, options, [1, 1]);
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  const reference = parseReference(parsed.words[0] as string);
  const called = familiarName(reference);
  const root = await transfer(
    { location: { kind: "store", reference }, called },
    { location: { kind: "registry", reference }, called },
    access(flags.store),
    {
      platform: flags.platform === undefined ? undefined : platformOf(flags.platform),
      quiet: flags.quiet ?? false,
    },
  );
  process.stdout.write(`${called} ${root.digest}\n`);
  return 0;
}
