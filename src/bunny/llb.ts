import { basename } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { readBuildFile } from "../build/build-file.ts";
import { sourceDateEpoch } from "../build/source-date.ts";
import { architecturesOf } from "../bunnyfile/architectures.ts";
import { parseBunnyfile } from "../bunnyfile/parse.ts";
import { addsUrunit, planImage } from "../bunnyfile/plan.ts";
import { UruncError } from "../errors.ts";
import { definitionOf } from "../frontend/llb.ts";
import { imageSource, Lowering } from "../frontend/lower.ts";
import { DefinitionSchema } from "../frontend/protocol/llb_pb.ts";
import { hostPlatform, parsePlatform } from "../image/spec/platform.ts";
import { formatReference, parseReference } from "../image/spec/reference.ts";
import { PLATFORM_FLAG, parseCommand, STORE_FLAGS } from "./command.ts";

const HELP = `bunny --LLB - prints the definition of a build for buildctl

Usage: bunny --LLB --frontend NAME [flags] [CONTEXT] | buildctl build --local context=CONTEXT

Prints what BuildKit does for a bunnyfile, as buildctl reads it. A definition gives the image's files: its labels and
its command are not in it, and labels of its base are not looked at. "#syntax=NAME" in the bunnyfile gives all.

Flags:
  -f, --file FILE          the bunnyfile; - is standard input (default: bunnyfile in CONTEXT)
      --frontend NAME      the image that "bunny frontend push" made, which has our kernel and init
      --platform PLATFORM  what it is built for, as linux/arm64 (default: what the file says, else this machine's)
      --no-cache           do everything, even if its result is known
  -h, --help               show help
`;

const OPTIONS = {
  ...STORE_FLAGS,
  ...PLATFORM_FLAG,
  file: { type: "string", short: "f" },
  frontend: { type: "string" },
  "no-cache": { type: "boolean" },
} as const;

/** `bunny --LLB`. */
export async function llb(words: readonly string[]): Promise<number> {
  const parsed = parseCommand(words, "bunny --LLB", HELP, OPTIONS, [0, 1]);
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  const usage = (sentence: string) =>
    new UruncError("usage", `bunny --LLB: ${sentence}: see "bunny --LLB --help"`);
  const file = readBuildFile(flags.file, parsed.words[0] ?? ".");
  if (file.kind === "containerfile") {
    throw usage(`${file.name} is a Containerfile, which BuildKit reads itself: begin it with #syntax=NAME`);
  }
  if (flags.frontend === undefined) throw usage("say with --frontend which image has our kernel and init");
  if (process.stdout.isTTY) throw usage("a definition is no text: pipe it to buildctl");
  const bunnyfile = parseBunnyfile(file.text, file.name);
  for (const warning of bunnyfile.warnings) process.stderr.write(`${warning}\n`);
  const asked = flags.platform === undefined ? [] : [parsePlatform(flags.platform)];
  const [architecture, ...others] = architecturesOf(bunnyfile, asked, hostPlatform());
  if (architecture === undefined || others.length > 0) {
    throw usage("a definition is of one platform: name it with --platform");
  }
  const time = sourceDateEpoch(process.env);
  // The definition is the same wherever the file lies.
  const plan = { ...planImage(bunnyfile, architecture), name: basename(file.name) };
  const frontend = formatReference(parseReference(flags.frontend));
  const steps = new Lowering(plan, {
    frontend: imageSource(frontend, "default", {
      name: `[bunny] ${flags.frontend}`,
      platform: hostPlatform(),
    }),
    platform: hostPlatform(),
    context: { name: "context", session: undefined },
    pinned: new Map(),
    resolveMode: "default",
    time: time ?? 0,
    clamps: time !== undefined,
    ignoreCache: flags["no-cache"] ?? false,
    severalPlatforms: false,
  });
  const definition = definitionOf(steps.all(addsUrunit(plan, {}), file.text));
  const bytes = toBinary(DefinitionSchema, definition);
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error == null ? resolve() : reject(error)));
  });
  return 0;
}
