import { readBuildFile } from "../build/build-file.ts";
import { buildBunnyfile } from "../build/bunnyfile.ts";
import { buildContainerfile } from "../build/containerfile/build.ts";
import { Context } from "../build/context.ts";
import { guestFiles } from "../build/guest-files.ts";
import { deliver, nameImage, type Output, parseOutput } from "../build/output.ts";
import { sourceDateEpoch } from "../build/source-date.ts";
import type { WorkshopOptions } from "../build/workshop.ts";
import { UruncError } from "../errors.ts";
import { ContentStore } from "../image/layers/content.ts";
import { hostPlatform, parsePlatform } from "../image/spec/platform.ts";
import { familiarName, parseReference, type Reference } from "../image/spec/reference.ts";
import { access, PLATFORM_FLAG, parseCommand, STORE_FLAGS } from "./command.ts";
import {
  CONTAINERFILE_FLAGS,
  readContainerfileFlags,
  refuseContainerfileFlags,
} from "./containerfile-flags.ts";
import { interruptible } from "./interrupt.ts";
import { sweptPlaces } from "./machine-command.ts";
import { transferProgress } from "./progress.ts";

const HELP = `bunny build - builds a bootable image

Usage: bunny build [flags] CONTEXT

CONTEXT is the directory that local files are taken from. The build file is a bunnyfile (docs/build.md) or a
Containerfile (docs/containerfile.md), whose RUN is executed in a machine. Prints the image's names and digest.

Flags:
  -f, --file FILE          the build file; - is standard input
                           (default: bunnyfile, Containerfile or Dockerfile in CONTEXT)
  -t, --tag NAME           what the image is called in the store; may be repeated
      --push               push it to the registry of each name
      --load               load it into Docker under each name
  -o, --output PLACE       where it goes; may be repeated:
                             oci:DIRECTORY[:NAME], oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME,
                             docker://NAME: the image
                             rootfs:DIRECTORY (root only), initrd:FILE, block:FILE: the machine's root
                             kernel:FILE: its kernel
      --platform PLATFORM  what it is built for, as linux/arm64; several with commas, or repeated
                           (default: what the build file says, else this machine's)
      --pull               ask the registries for images that are in the store, too
      --no-cache           carry out all steps of a Containerfile anew; for a bunnyfile as --pull
  -q, --quiet              print the digest alone
      --store DIRECTORY    the store (default: ~/.local/share/bunny)
  -h, --help               show help

Flags for Containerfiles:
      --build-arg NAME[=VALUE]   a value for ARG (default: that of the environment); may be repeated
      --target STAGE       the stage that is built, by name or number (default: the last)
      --network NETWORK    of the machines of RUN: default or none
  -m, --memory SIZE        of the machines of RUN, as 512m (default: half of the host's, at most 2g)
      --plain              add nothing that boots the image

SOURCE_DATE_EPOCH in the environment is the time, in seconds since 1970, that nothing in the image is newer than.
Without it what comes from CONTEXT has the time 0. The same input gives the same digest.
`;

const OPTIONS = {
  ...STORE_FLAGS,
  file: { type: "string", short: "f" },
  tag: { type: "string", short: "t", multiple: true },
  push: { type: "boolean" },
  load: { type: "boolean" },
  output: { type: "string", short: "o", multiple: true },
  platform: { ...PLATFORM_FLAG.platform, multiple: true },
  pull: { type: "boolean" },
  "no-cache": { type: "boolean" },
  ...CONTAINERFILE_FLAGS,
  quiet: { type: "boolean", short: "q" },
} as const;

/** `bunny build`. */
export async function build(words: readonly string[]): Promise<number> {
  const parsed = parseCommand(words, "bunny build", HELP, OPTIONS, [1, 1]);
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  const directory = parsed.words[0] as string;
  const names = (flags.tag ?? []).map(parseReference);
  for (const { digest } of names) {
    if (digest !== undefined) throw usage("a name that is given has no digest");
  }
  if ((flags.push || flags.load) && names.length === 0)
    throw usage("--push and --load need a name: give it with --tag");
  const outputs = (flags.output ?? []).map(parseOutput);
  const platforms = (flags.platform ?? []).flatMap((list) => list.split(",")).map(parsePlatform);
  const wishes = readContainerfileFlags(flags, process.env);
  // BuildKit's clients give it as a build argument.
  const given = wishes.buildArgs.get("SOURCE_DATE_EPOCH");
  const time = sourceDateEpoch(given === undefined ? process.env : { SOURCE_DATE_EPOCH: given });
  const context = new Context(directory, time ?? 0);
  const file = readBuildFile(flags.file, directory);
  const isContainerfile = file.kind === "containerfile";
  if (!isContainerfile) refuseContainerfileFlags(flags, file.name);

  const reach = access(flags.store);
  const layout = reach.store();
  const quiet = flags.quiet ?? false;
  const progress = transferProgress(quiet);
  const contents = new ContentStore();
  try {
    return await interruptible((signal) =>
      layout.using(async () => {
        const files = outputs.filter((output) => output.kind !== "image");
        const isImage = files.length === 0 || files.length < outputs.length || names.length > 0;
        const wanted = { platforms, image: isImage, files };
        const noCache = flags["no-cache"] ?? false;
        const options: WorkshopOptions = {
          ...{ layout, access: reach, contents, context, guest: guestFiles(), time, progress, signal },
          // Of a bunnyfile nothing else is kept from build to build.
          pull: flags.pull || (noCache && !isContainerfile) ? "always" : "missing",
          say: progress.say,
        };
        const image = isContainerfile
          ? await buildContainerfile(
              file,
              wanted,
              { ...wishes, noCache, places: await sweptPlaces() },
              options,
            )
          : await buildBunnyfile(file, wanted, options);
        if (image === undefined) return 0;
        await nameImage(image, layout, names);
        const [platform = hostPlatform()] = platforms;
        for (const place of placesOf(outputs, names, flags)) {
          signal.throwIfAborted();
          await deliver(image, layout, place, reach, { reference: names[0], platform, progress });
        }
        report(image.digest, names, outputs, quiet);
        return 0;
      }),
    );
  } finally {
    progress.close();
    contents.close();
    layout.tidy();
  }
}

/** Where the image is brought, besides the store. */
function placesOf(
  outputs: readonly Output[],
  names: readonly Reference[],
  flags: { push?: boolean; load?: boolean },
) {
  const named = (kind: "registry" | "docker-daemon") =>
    names.map((reference) => ({ location: { kind, reference } as const, called: familiarName(reference) }));
  return [
    ...outputs.flatMap((output) => (output.kind === "image" ? [output] : [])),
    ...(flags.push ? named("registry") : []),
    ...(flags.load ? named("docker-daemon") : []),
  ];
}

function report(
  digest: string,
  names: readonly Reference[],
  outputs: readonly Output[],
  quiet: boolean,
): void {
  const taken = outputs.some(
    (output) => output.kind === "image" && "path" in output.location && output.location.path === "-",
  );
  if (!quiet && names.length === 0 && outputs.length === 0) {
    process.stderr.write('the image has no name, so that "bunny prune" removes it: give it one with --tag\n');
  }
  if (taken) return;
  if (quiet || names.length === 0) process.stdout.write(`${digest}\n`);
  else for (const name of names) process.stdout.write(`${familiarName(name)} ${digest}\n`);
}

function usage(sentence: string): UruncError {
  return new UruncError("usage", `bunny build: ${sentence}: see "bunny build --help"`);
}
