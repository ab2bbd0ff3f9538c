import { sourceDateEpoch } from "../build/source-date.ts";
import { UruncError } from "../errors.ts";
import { makeRoot } from "../frontend/root.ts";
import { serveFrontend } from "../frontend/serve.ts";
import { parsePlatform } from "../image/spec/platform.ts";
import { access, parseCommand, STORE_FLAGS } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { publish, publishHelp } from "./publish.ts";

/** `bunny frontend …`. */
export async function frontendCommand(words: readonly string[]): Promise<number> {
  const [command, ...rest] = words;
  switch (command) {
    case undefined:
    case "-h":
    case "--help":
      process.stdout.write(publishHelp("frontend"));
      return 0;
    case "push":
    case "image":
      return publish("frontend", command, rest);
    case "serve":
      return serveFrontend(process.env);
    case "root":
      return root(rest);
    default:
      throw new UruncError(
        "usage",
        `bunny frontend has no command ${JSON.stringify(command)}: see "bunny frontend --help"`,
      );
  }
}

const ROOT_HELP = `bunny frontend root - makes an initrd or a block image in a step of BuildKit's

It is run by the frontend: "bunny build" makes the same by hand.
`;

const ROOT_OPTIONS = {
  ...STORE_FLAGS,
  file: { type: "string" },
  name: { type: "string" },
  platform: { type: "string" },
  urunit: { type: "boolean" },
  image: { type: "string", multiple: true },
  output: { type: "string" },
} as const;

async function root(words: readonly string[]): Promise<number> {
  const parsed = parseCommand(words, "bunny frontend root", ROOT_HELP, ROOT_OPTIONS, [0, 0]);
  if (parsed === undefined) return 0;
  const { file, name, platform, output, urunit = false, image = [], store } = parsed.flags;
  if (file === undefined || platform === undefined || output === undefined) {
    throw new UruncError("usage", "bunny frontend root needs --file, --platform and --output");
  }
  const images = new Map(
    image.map((one) => {
      const equals = one.indexOf("=");
      return [one.slice(0, equals), one.slice(equals + 1)] as const;
    }),
  );
  const request = {
    ...{ file, name: name ?? file, urunit, images, output },
    platform: parsePlatform(platform),
    time: sourceDateEpoch(process.env),
  };
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  await interruptible((signal) => makeRoot(request, access(store), say, signal));
  return 0;
}
