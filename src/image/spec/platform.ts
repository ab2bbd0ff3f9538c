import { UruncError } from "../../errors.ts";
import type { DocumentReader } from "./document.ts";
import type { Descriptor, Index } from "./manifest.ts";

/** What an image is for: image-spec `image-index.md`, "platform"; words are Go's GOOS and GOARCH. */
export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
  "os.version"?: string;
}

/** Other words for the same architectures, from `uname -m` and from containerd. */
const ARCHITECTURES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  i386: ["386"],
  i686: ["386"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
};

/** The variant that is meant where none is named. */
const USUAL_VARIANT: Readonly<Record<string, string>> = { arm64: "v8", arm: "v7", amd64: "v1" };

/**
 * Parses `os/architecture[/variant]`, or an architecture alone for Linux.
 *
 * @throws UruncError `usage`
 */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) {
    throw new UruncError(
      "usage",
      `${JSON.stringify(text)} is no platform: it is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as linux/arm64`,
    );
  }
  const [os = "linux", architecture = "amd64", variant] = parts.length === 1 ? ["linux", ...parts] : parts;
  const [known, itsVariant] = ARCHITECTURES[architecture] ?? [architecture];
  const platform: Platform = { os, architecture: known };
  if (variant ?? itsVariant) platform.variant = (variant ?? itsVariant) as string;
  return platform;
}

/** The platform of the machines that run here. */
export function hostPlatform(): Platform {
  return { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
}

export function platformName(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}

export function readPlatform(read: DocumentReader, value: unknown, at: string): Platform {
  const fields = read.object(value, at);
  const platform: Platform = {
    os: read.optionalString(fields["os"], `${at}.os`) ?? "unknown",
    architecture: read.optionalString(fields["architecture"], `${at}.architecture`) ?? "unknown",
  };
  const variant = read.optionalString(fields["variant"], `${at}.variant`);
  if (variant !== undefined) platform.variant = variant;
  const version = read.optionalString(fields["os.version"], `${at}.os.version`);
  if (version !== undefined) platform["os.version"] = version;
  return platform;
}

/**
 * How well a platform serves another: 0 not at all; the same variant before a lesser one, which the processor also
 * runs, and that before one that names none.
 */
function fitness(offered: Platform, wanted: Platform): number {
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return 0;
  const want = wanted.variant ?? USUAL_VARIANT[wanted.architecture];
  const have = offered.variant ?? USUAL_VARIANT[offered.architecture];
  if (want === have) return offered.variant === undefined ? 99 : 100;
  if (want === undefined || have === undefined) return 1;
  const [wantLevel, haveLevel] = [want, have].map((variant) => Number(/^v(\d{1,2})$/.exec(variant)?.[1]));
  return haveLevel !== undefined && wantLevel !== undefined && haveLevel < wantLevel ? 1 + haveLevel : 0;
}

/**
 * The manifest of an index that serves a platform best, the first of several that serve as well.
 *
 * @throws UruncError `image-missing` with the platforms that there are
 */
export function choosePlatform(index: Index, wanted: Platform, where: string): Descriptor {
  let best: Descriptor | undefined;
  let bestFitness = 0;
  for (const descriptor of index.manifests) {
    const score = descriptor.platform === undefined ? 0 : fitness(descriptor.platform, wanted);
    if (score > bestFitness) [best, bestFitness] = [descriptor, score];
  }
  if (best !== undefined) return best;
  // An index that names no platforms, as layouts with one image have.
  const [only, ...others] = index.manifests;
  if (only !== undefined && others.length === 0 && only.platform === undefined) return only;
  const there = index.manifests.flatMap(({ platform }) =>
    platform === undefined || platform.os === "unknown" ? [] : [platformName(platform)],
  );
  throw new UruncError(
    "image-missing",
    `${where} is not there for ${platformName(wanted)}: it is for ${[...new Set(there)].join(", ") || "no platform"}`,
  );
}
