import { parseLocation } from "../image/location.ts";
import { access, PLATFORM_FLAG, parseCommand, platformOf, STORE_FLAGS } from "./command.ts";
import { transfer } from "./transfer.ts";

const HELP = `bunny copy - copies an image from one place to another

Usage: bunny copy [flags] SOURCE DESTINATION

Both are one of:
  NAME                         an image of the store
  docker://NAME                an image of a registry
  oci:DIRECTORY[:NAME]         an OCI image layout
  oci-archive:FILE[:NAME]      a tar archive of one; FILE may be -
  docker-archive:FILE[:NAME]   what "docker save" makes; FILE may be -
  docker-daemon:NAME           an image of Docker, by its socket (DOCKER_HOST)
  -                            an archive of either kind on standard input; one for "docker load" on standard output

An image for several platforms is copied with all of them, or the one for this machine where the destination
holds only one. Prints the image's digest, unless the image itself goes to standard output.

Flags:
  --platform PLATFORM      only the image for PLATFORM, as linux/arm64
  -q, --quiet              no progress
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -h, --help               show help
`;

/** `bunny copy`. */
export async function copy(words: readonly string[]): Promise<number> {
  const options = { ...STORE_FLAGS, ...PLATFORM_FLAG, quiet: { type: "boolean", short: "q" } } as const;
  const parsed = parseCommand(words, "bunny copy", HELP, options, [2, 2]);
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  const [from, to] = parsed.words.map((called) => ({ location: parseLocation(called), called })) as [
    { location: ReturnType<typeof parseLocation>; called: string },
    { location: ReturnType<typeof parseLocation>; called: string },
  ];
  const root = await transfer(from, to, access(flags.store), {
    platform: flags.platform === undefined ? undefined : platformOf(flags.platform),
    quiet: flags.quiet ?? false,
  });
  const taken = to.location.kind === "stdio" || ("path" in to.location && to.location.path === "-");
  if (!taken) process.stdout.write(`${root.digest}\n`);
  return 0;
}
