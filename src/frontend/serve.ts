import { Duplex } from "node:stream";
import { BUILD_FILE_NAMES, buildFileKind } from "../build/build-file.ts";
import { UruncError } from "../errors.ts";
import { formatReference, parseReference } from "../image/spec/reference.ts";
import { solveBunnyfile } from "./bunnyfile.ts";
import { solveContainerfile } from "./containerfile.ts";
import { type BuildText, type Gateway, openGateway, type Result } from "./gateway.ts";
import { type Output, source } from "./llb.ts";
import { imageSource } from "./lower.ts";
import { type FrontendOptions, frontendOptions } from "./options.ts";

/** Bytes of a build file that a person writes. */
const MAXIMUM = 1 << 20;

/**
 * One build as BuildKit's frontend: BuildKit is at the other end of standard input and output.
 *
 * @param environment what BuildKit says of the build
 * @returns the exit status: 0 also for a build that failed, which BuildKit is told
 */
export async function serveFrontend(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const ends = { readable: process.stdin, writable: process.stdout };
  // The types know of the Web's streams alone here.
  const connection = Duplex.from(ends as object as Parameters<typeof Duplex.from>[0]);
  const gateway = await openGateway(connection);
  let file: BuildText | undefined;
  try {
    const options = frontendOptions(environment);
    file = await readBuildFile(options, gateway);
    await gateway.finish(await solve(file, options, gateway));
  } catch (error) {
    await gateway.fail(error, file);
  } finally {
    gateway.close();
  }
  return 0;
}

async function solve(file: BuildText, options: FrontendOptions, gateway: Gateway): Promise<Result> {
  const image = formatReference(parseReference(options.image));
  const step = { name: "[bunny] what makes images bootable", platform: gateway.platform };
  const frontend: Output = imageSource(image, options.resolveMode, step);
  return buildFileKind(file.text, file.name) === "containerfile"
    ? solveContainerfile(frontend, options, gateway)
    : solveBunnyfile(file, frontend, options, gateway);
}

async function readBuildFile(
  { filename, fileSource, session }: FrontendOptions,
  gateway: Gateway,
): Promise<BuildText> {
  const names = filename === undefined ? BUILD_FILE_NAMES : [filename];
  const directory = await gateway.solve(
    source(
      `local://${fileSource}`,
      {
        "local.followpaths": JSON.stringify(names),
        ...(session === undefined ? {} : { "local.session": session }),
        "local.sharedkeyhint": fileSource,
      },
      { name: `[bunny] read ${names.join(", ")}`, platform: gateway.platform },
    ),
  );
  for (const name of names) {
    const status = await gateway.statFile(directory, name);
    if (status === undefined || status.isDirectory) continue;
    if (status.size > MAXIMUM) throw new UruncError("build", `${name} has more than ${MAXIMUM} bytes`);
    const bytes = await gateway.readFile(directory, name, MAXIMUM);
    try {
      return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), name };
    } catch (cause) {
      throw new UruncError("build", `${name} is no text in UTF-8`, { cause });
    }
  }
  throw new UruncError("build", `there is no ${names.join(", ")}: name the build file with --file`);
}
