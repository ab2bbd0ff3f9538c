import { sourceDateEpoch } from "../build/source-date.ts";
import { UruncError } from "../errors.ts";
import { type Platform, parsePlatform } from "../image/spec/platform.ts";

/** What a build was asked for: BuildKit's frontend options, as `docker build` and `buildctl` give them. */
export interface FrontendOptions {
  /** All of them, for another frontend. */
  all: Readonly<Record<string, string>>;
  /** The frontend's own image. */
  image: string;
  session: string | undefined;
  /** The build file's name; undefined: the usual ones. */
  filename: string | undefined;
  /** What the build file's directory, and the context, are called in the session. */
  fileSource: string;
  contextSource: string;
  /** None: those of the build file, or the builder's. */
  platforms: readonly Platform[];
  target: string | undefined;
  buildArgs: ReadonlyMap<string, string>;
  labels: Readonly<Record<string, string>>;
  ignoreCache: boolean;
  /** `default`, `pull` or `local`. */
  resolveMode: string;
  /** `SOURCE_DATE_EPOCH`, a build argument: seconds since 1970. */
  time: number | undefined;
}

const OPTION = /^BUILDKIT_FRONTEND_OPT_\d+$/;

/**
 * Reads the environment that BuildKit starts a frontend with.
 *
 * @throws UruncError `usage` for one that is not, or options that are wrong
 */
export function frontendOptions(environment: Readonly<Record<string, string | undefined>>): FrontendOptions {
  const all: Record<string, string> = {};
  for (const [key, value = ""] of Object.entries(environment)) {
    if (!OPTION.test(key)) continue;
    const equals = value.indexOf("=");
    if (equals > 0) all[value.slice(0, equals)] = value.slice(equals + 1);
  }
  const image = all["source"];
  if (image === undefined) {
    throw new UruncError(
      "usage",
      'bunny frontend serve is run by BuildKit: name its image in the first line of the build file, as "#syntax=IMAGE"',
    );
  }
  const withPrefix = (prefix: string) =>
    Object.entries(all).flatMap(([key, value]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), value] as const] : [],
    );
  const buildArgs = new Map(withPrefix("build-arg:"));
  return {
    all,
    image,
    session: environment["BUILDKIT_SESSION_ID"] || undefined,
    filename: all["filename"] || undefined,
    fileSource: all["dockerfilekey"] ?? "dockerfile",
    contextSource: all["contextkey"] ?? "context",
    platforms: (all["platform"] ?? "").split(",").flatMap((one) => (one === "" ? [] : [parsePlatform(one)])),
    target: all["target"] || undefined,
    buildArgs,
    labels: Object.fromEntries(withPrefix("label:")),
    ignoreCache: all["no-cache"] !== undefined,
    resolveMode: all["image-resolve-mode"] || "default",
    time: sourceDateEpoch({ SOURCE_DATE_EPOCH: buildArgs.get("SOURCE_DATE_EPOCH") }),
  };
}
