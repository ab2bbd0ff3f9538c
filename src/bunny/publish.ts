import { type FileImage, imageOfFiles, type PublishedFile } from "../build/file-image.ts";
import { guestFileSize, guestFiles } from "../build/guest-files.ts";
import { KERNEL_START, kernelKind } from "../build/kernel-kind.ts";
import { deliver, nameImage, parseOutput } from "../build/output.ts";
import { sourceDateEpoch } from "../build/source-date.ts";
import { kernelRelease, shareDirectory } from "../config/share.ts";
import { UruncError } from "../errors.ts";
import { frontendImage } from "../frontend/image.ts";
import { hostPlatform } from "../image/spec/platform.ts";
import { familiarName, parseReference } from "../image/spec/reference.ts";
import { VERSION } from "../version.ts";
import { access, parseCommand, STORE_FLAGS } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { transferProgress } from "./progress.ts";

/** What is published: the guest's kernel, its init, or what builds images in BuildKit. */
export type Published = "kernel" | "urunit" | "frontend";

const HELP: Readonly<Record<Published, string>> = {
  kernel: `bunny kernel push - publishes the kernel as an image

Usage: bunny kernel push [flags] NAME
       bunny kernel image [flags] -o PLACE...

The image has the kernel (vmlinux) at /kernel and its configuration at /config: a bunnyfile takes it with
"from: NAME" and "path: /kernel". push makes it in the store and pushes it; image brings it to each PLACE.

Flags:
      --kernel DIRECTORY   what "bunny kernel build" made (default: the installed kernel)
`,
  urunit: `bunny urunit push - publishes the init as an image

Usage: bunny urunit push [flags] NAME
       bunny urunit image [flags] -o PLACE...

The image has the init at /urunit: a Containerfile takes it with "COPY --from=NAME /urunit /urunit". push makes it in
the store and pushes it; image brings it to each PLACE.

Flags:
      --urunit FILE        another program (default: the installed one)
`,
  frontend: `bunny frontend push - publishes BuildKit's frontend as an image

Usage: bunny frontend push [flags] NAME
       bunny frontend image [flags] -o PLACE...

A bunnyfile or Containerfile whose first line is "#syntax=NAME" is built by it: docker build -f bunnyfile . The image
has this bunny, the libraries that it needs, the installed kernel and init. push makes it in the store and pushes it;
image brings it to each PLACE.

Flags:
`,
};

const MORE_HELP = `  -o, --output PLACE       oci:DIRECTORY[:NAME], oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME or
                           docker://NAME; may be repeated
  -q, --quiet              no progress
      --store DIRECTORY    the store (default: ~/.local/share/bunny)
  -h, --help               show help

SOURCE_DATE_EPOCH in the environment is the time of what is in the image, in seconds since 1970 (default: 0).
`;

const OPTIONS = {
  ...STORE_FLAGS,
  kernel: { type: "string" },
  urunit: { type: "string" },
  output: { type: "string", short: "o", multiple: true },
  quiet: { type: "boolean", short: "q" },
} as const;

/** `bunny kernel push`, `bunny kernel image`, and the same of `bunny urunit`. */
export async function publish(
  what: Published,
  command: "push" | "image",
  words: readonly string[],
): Promise<number> {
  const called = `bunny ${what} ${command}`;
  const { kernel, urunit, ...common } = OPTIONS;
  const options = { ...common, ...(what === "kernel" ? { kernel } : what === "urunit" ? { urunit } : {}) };
  const help = publishHelp(what);
  const parsed = parseCommand(
    words,
    called,
    help,
    options as typeof OPTIONS,
    command === "push" ? [1, 1] : [0, 0],
  );
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  const names = parsed.words.map(parseReference);
  const outputs = (flags.output ?? []).map(parseOutput);
  const places = outputs.map((output) => {
    if (output.kind === "image") return output;
    throw new UruncError(
      "usage",
      `${called}: ${output.kind}: is no place for an image: see "${called} --help"`,
    );
  });
  if (names.length + places.length === 0) {
    throw new UruncError("usage", `${called}: say with --output where it goes: see "${called} --help"`);
  }
  for (const reference of names) {
    places.push({
      kind: "image",
      location: { kind: "registry", reference },
      called: familiarName(reference),
    });
  }
  const time = sourceDateEpoch(process.env) ?? 0;
  const made =
    what === "kernel"
      ? await kernelFiles(flags.kernel)
      : what === "urunit"
        ? urunitFiles(flags.urunit)
        : await frontendFiles();
  const reach = access(flags.store);
  const layout = reach.store();
  const progress = transferProgress(flags.quiet ?? false);
  try {
    await interruptible((signal) =>
      layout.using(async () => {
        const { files, platform, ...about } = made;
        const image = await imageOfFiles(layout, files, { ...about, platform, time, what: called }, signal);
        await nameImage(image, layout, names);
        for (const place of places) {
          await deliver(image, layout, place, reach, { reference: names[0], platform, progress });
        }
        const taken = places.some(({ location }) => "path" in location && location.path === "-");
        const [name] = names;
        if (!taken)
          process.stdout.write(`${name === undefined ? "" : `${familiarName(name)} `}${image.digest}\n`);
      }),
    );
  } finally {
    progress.close();
    layout.tidy();
  }
  return 0;
}

interface Made extends Omit<FileImage, "time" | "what"> {
  files: PublishedFile[];
}

/** What `--help` prints of a command's. */
export function publishHelp(what: Published): string {
  return HELP[what] + MORE_HELP;
}

async function kernelFiles(directory: string = shareDirectory(undefined)): Promise<Made> {
  const { kernel, config } = guestFiles(directory);
  guestFileSize(kernel);
  const found = kernelKind(new Uint8Array(await Bun.file(kernel).slice(0, KERNEL_START).arrayBuffer()));
  if (found.kind === "other") throw new UruncError("kernel-invalid", `${kernel} is no kernel: ${found.why}`);
  const release = kernelRelease(directory);
  const labels: Record<string, string> = { "org.opencontainers.image.title": "Linux for urunc" };
  if (release !== undefined) labels["org.opencontainers.image.version"] = release;
  return {
    files: [
      { source: config, name: "config", mode: 0o644 },
      { source: kernel, name: "kernel", mode: 0o644 },
    ],
    labels,
    platform: { os: "linux", architecture: found.architecture },
  };
}

function urunitFiles(source: string = guestFiles().urunit): Made {
  return {
    files: [{ source, name: "urunit", mode: 0o755 }],
    labels: {
      "org.opencontainers.image.title": "urunit, the init of urunc's machines",
      "org.opencontainers.image.version": VERSION,
    },
    platform: { os: "linux", architecture: "amd64" },
  };
}

async function frontendFiles(): Promise<Made> {
  const { labels, ...made } = await frontendImage();
  return {
    ...made,
    labels: {
      ...labels,
      "org.opencontainers.image.title": "bunny, a frontend of BuildKit",
      "org.opencontainers.image.version": VERSION,
    },
    platform: hostPlatform(),
  };
}

/** `bunny urunit …`. */
export async function urunitCommand(words: readonly string[]): Promise<number> {
  const [command, ...rest] = words;
  if (command === undefined || command === "-h" || command === "--help") {
    process.stdout.write(publishHelp("urunit"));
    return 0;
  }
  if (command === "push" || command === "image") return publish("urunit", command, rest);
  throw new UruncError(
    "usage",
    `bunny urunit has no command ${JSON.stringify(command)}: see "bunny urunit --help"`,
  );
}
