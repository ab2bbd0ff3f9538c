import type { ContainerfileRequest } from "../build/containerfile/build.ts";
import { UruncError } from "../errors.ts";
import { parseMemory } from "../machines/request.ts";

/** Flags of `bunny build` that are for Containerfiles alone. */
export const CONTAINERFILE_FLAGS = {
  "build-arg": { type: "string", multiple: true },
  target: { type: "string" },
  network: { type: "string" },
  memory: { type: "string", short: "m" },
  plain: { type: "boolean" },
} as const;

/** How they are given. */
export interface ContainerfileFlags {
  "build-arg"?: string[];
  target?: string;
  network?: string;
  memory?: string;
  plain?: boolean;
}

/** What they ask for. */
export type ContainerfileWishes = Omit<ContainerfileRequest, "noCache" | "places">;

/**
 * Reads the flags for Containerfiles.
 *
 * @param environment where a `--build-arg NAME` without a value takes it from; it is left out if it is not there
 * @throws UruncError `usage`
 */
export function readContainerfileFlags(
  flags: ContainerfileFlags,
  environment: Readonly<Record<string, string | undefined>>,
): ContainerfileWishes {
  const { network = "default", target, memory } = flags;
  if (network !== "default" && network !== "none") {
    const why = network === "host" ? ": machines of RUN have a network of their own" : "";
    throw new UruncError("usage", `--network is default or none, not ${JSON.stringify(network)}${why}`);
  }
  const buildArgs = new Map<string, string>();
  for (const text of flags["build-arg"] ?? []) {
    const equals = text.indexOf("=");
    const name = equals < 0 ? text : text.slice(0, equals);
    if (name === "")
      throw new UruncError("usage", `--build-arg is NAME or NAME=VALUE, not ${JSON.stringify(text)}`);
    const value = equals < 0 ? environment[name] : text.slice(equals + 1);
    if (value !== undefined) buildArgs.set(name, value);
  }
  return {
    buildArgs,
    ...(target === undefined ? {} : { target }),
    network: network === "none" ? "none" : "user",
    ...(memory === undefined ? {} : { memory: parseMemory(memory) }),
    plain: flags.plain ?? false,
  };
}

/** @throws UruncError `usage` if one of the flags is given for a bunnyfile */
export function refuseContainerfileFlags(flags: ContainerfileFlags, file: string): void {
  const given = Object.keys(CONTAINERFILE_FLAGS).filter(
    (name) => flags[name as keyof ContainerfileFlags] !== undefined,
  );
  if (given.length === 0) return;
  const names = given.map((name) => `--${name}`).join(" and ");
  throw new UruncError(
    "usage",
    `${names} ${given.length === 1 ? "is" : "are"} for Containerfiles, and ${file} is a bunnyfile`,
  );
}
