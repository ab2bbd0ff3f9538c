import { type BuildFile, readBuildFile } from "../build/build-file.ts";
import { buildBunnyfile } from "../build/bunnyfile.ts";
import { Context } from "../build/context.ts";
import { guestFiles } from "../build/guest-files.ts";
import { deliver, nameImage, type Output, parseOutput } from "../build/output.ts";
import { sourceDateEpoch } from "../build/source-date.ts";
import { UruncError } from "../errors.ts";
import { ContentStore } from "../image/layers/content.ts";
import { hostPlatform, parsePlatform } from "../image/spec/platform.ts";
import { familiarName, parseReference, type Reference } from "../image/spec/reference.ts";
import { access, PLATFORM_FLAG, parseCommand, STORE_FLAGS } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { transferProgress } from "./progress.ts";

const HELP = `bunny build - builds a bootable image

Usage: bunny build [flags] CONTEXT

CONTEXT is the directory that local files are taken from. The build file is a bunnyfile: docs/build.md has what is
in it. Prints the image's names and digest.

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
      --no-cache           as --pull: nothing else is kept from build to build
  -q, --quiet              print the digest alone
      --store DIRECTORY    the store (default: ~/.local/share/bunny)
  -h, --help               show help

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
  "build-arg": { type: "string", multiple: true },
  target: { type: "string" },
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
  const time = sourceDateEpoch(process.env);
  const context = new Context(directory, time ?? 0);
  const file = readBuildFile(flags.file, directory);
  checkKind(file, flags);

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
        const image = await buildBunnyfile(
          file,
          { platforms, image: isImage, files },
          {
            layout,
            access: reach,
            contents,
            context,
            guest: guestFiles(),
            time,
            pull: flags.pull || flags["no-cache"] ? "always" : "missing",
            progress,
            say: progress.say,
            signal,
          },
        );
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

function checkKind(file: BuildFile, flags: { "build-arg"?: string[]; target?: string }): void {
  if (file.kind === "containerfile") {
    throw new UruncError(
      "not-supported",
      `${file.name} is a Containerfile, which is not built without Docker yet: build it with "docker build", bring the ` +
        'image here with "bunny copy docker-daemon:NAME NAME", and name it in a bunnyfile',
    );
  }
  if (flags["build-arg"] !== undefined || flags.target !== undefined) {
    throw usage(`--build-arg and --target are for Containerfiles, and ${file.name} is a bunnyfile`);
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
