import { UruncError } from "../errors.ts";
import { familiarName, parseReference } from "../image/spec/reference.ts";
import { access, PLATFORM_FLAG, parseCommand, platformOf, STORE_FLAGS } from "./command.ts";
import { transfer } from "./transfer.ts";

const HELP = `bunny pull - brings an image from its registry into the store

Usage: bunny pull [flags] NAME

NAME is [REGISTRY/]NAME[:TAG][@DIGEST]; without a registry it is Docker Hub's. What an earlier, interrupted
pull has brought is not asked for again. Prints the image's name and digest.

Flags:
  --platform PLATFORM      of an image for several platforms, the one for PLATFORM, as linux/arm64
                           (default: this machine's)
  --all-platforms          all of them
  -q, --quiet              no progress
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -h, --help               show help
`;

/** `bunny pull`. */
export async function pull(words: readonly string[]): Promise<number> {
  const options = {
    ...STORE_FLAGS,
    ...PLATFORM_FLAG,
    "all-platforms": { type: "boolean" },
    quiet: { type: "boolean", short: "q" },
  } as const;
  const parsed = parseCommand(words, "bunny pull", HELP, options, [1, 1]);
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  if (flags["all-platforms"] && flags.platform !== undefined) {
    throw new UruncError("usage", "bunny pull: --all-platforms and --platform exclude each other");
  }
  const reference = parseReference(parsed.words[0] as string);
  const called = familiarName(reference);
  const platform = flags["all-platforms"] ? undefined : platformOf(flags.platform);
  const root = await transfer(
    { location: { kind: "registry", reference }, called },
    { location: { kind: "store", reference }, called },
    access(flags.store),
    { platform, quiet: flags.quiet ?? false },
  );
  process.stdout.write(`${called} ${root.digest}\n`);
  return 0;
}
