import { UruncError } from "../errors.ts";
import { chosenManifest } from "../image/copy.ts";
import { openSource, parseLocation } from "../image/location.ts";
import { parseImageConfig } from "../image/spec/image-config.ts";
import { MAXIMUM_CONFIG, parseManifest } from "../image/spec/manifest.ts";
import { isImageConfig } from "../image/spec/media-type.ts";
import { platformName } from "../image/spec/platform.ts";
import { readVerified } from "../image/spec/verify.ts";
import type { ImageSource } from "../image/transport.ts";
import { access, PLATFORM_FLAG, parseCommand, platformOf, STORE_FLAGS } from "./command.ts";

const HELP = `bunny inspect - says what a machine or an image is, as JSON

Usage: bunny inspect [flags] MACHINE|IMAGE

A machine of that name or id goes before an image, unless a flag is given.

IMAGE is a NAME of the store, docker://NAME, or another place as in "bunny copy --help".

Flags:
  --platform PLATFORM      of an image for several platforms, the one for PLATFORM (default: what they are)
  --raw                    the manifest's or index's own bytes
  --config                 the configuration's own bytes; of several platforms, this machine's by default
  --store DIRECTORY        the store (default: ~/.local/share/bunny)
  -h, --help               show help
`;

/** `bunny inspect`. */
export async function inspect(words: readonly string[]): Promise<number> {
  const options = {
    ...STORE_FLAGS,
    ...PLATFORM_FLAG,
    raw: { type: "boolean" },
    config: { type: "boolean" },
  } as const;
  const parsed = parseCommand(words, "bunny inspect", HELP, options, [1, 1]);
  if (parsed === undefined) return 0;
  const { flags } = parsed;
  if (flags.raw && flags.config) {
    throw new UruncError("usage", "bunny inspect: --raw and --config exclude each other");
  }
  const called = parsed.words[0] as string;
  if (Object.keys(flags).length === 0) {
    const machine = (await import("./inspect-machine.ts")).inspectMachine(called);
    if (machine !== undefined) {
      process.stdout.write(json(machine));
      return 0;
    }
  }
  const { source } = await openSource(parseLocation(called), called, access(flags.store));
  try {
    const choose = flags.platform !== undefined || flags.config;
    const output = await describe(source, choose ? platformOf(flags.platform) : undefined, flags);
    process.stdout.write(output);
  } finally {
    await source.close?.();
  }
  return 0;
}

async function describe(
  source: ImageSource,
  platform: ReturnType<typeof platformOf> | undefined,
  flags: { raw?: boolean; config?: boolean },
): Promise<Uint8Array | string> {
  const { descriptor, bytes } = await chosenManifest(source, platform);
  if (flags.raw) return bytes;
  const document = parseManifest(bytes, source.name, descriptor.mediaType);
  const common = { name: source.name, ...descriptor };
  if (document.kind === "index") {
    const manifests = document.manifests.map(({ platform, ...rest }) => ({
      ...(platform === undefined ? {} : { platform: platformName(platform) }),
      ...rest,
    }));
    return json({ ...common, manifests, annotations: document.annotations });
  }
  const { config, layers, annotations } = document;
  if (!isImageConfig(config.mediaType)) return json({ ...common, config, layers, annotations });
  const configBytes = await readVerified(config, source.open(config), MAXIMUM_CONFIG);
  if (flags.config) return configBytes;
  const image = parseImageConfig(configBytes, `the configuration of ${source.name}`);
  return json({ ...common, ...image, platform: platformName(image.platform), config, layers, annotations });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
