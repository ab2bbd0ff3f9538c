import { UruncError } from "../../errors.ts";
import { parseDigest } from "./digest.ts";

/** An image's name, whole: nothing is implied any more. */
export interface Reference {
  /** Host, with a port where one is named; `docker.io` for Docker Hub. */
  registry: string;
  /** As `library/redis`. */
  repository: string;
  tag?: string;
  digest?: string;
}

const DOCKER_HUB = "docker.io";

/** The grammar of distribution's `reference/regexp.go`, which names are held to by every client. */
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const DOMAIN_COMPONENT = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const DOMAIN = new RegExp(
  `^(?:${DOMAIN_COMPONENT}(?:\\.${DOMAIN_COMPONENT})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]{1,5})?$`,
);
const TAG = /^[\w][\w.-]{0,127}$/;
const MAXIMUM_NAME = 255;

/**
 * Parses `[registry/]name[:tag][@digest]` as Docker does: without a registry it is Docker Hub's, there without a
 * directory `library/`, and without tag and digest the tag is `latest`.
 *
 * @throws UruncError `reference-invalid`
 */
export function parseReference(text: string): Reference {
  const invalid = (why: string, cause?: unknown) =>
    new UruncError(
      "reference-invalid",
      `${JSON.stringify(text.slice(0, 300))} is no image name: ${why}`,
      cause === undefined ? {} : { cause },
    );
  const at = text.indexOf("@");
  const named = at < 0 ? text : text.slice(0, at);
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  const name = hasTag ? named.slice(0, colon) : named;
  if (name === "") throw invalid("it is empty");
  if (tag !== undefined && !TAG.test(tag)) {
    throw invalid(
      "a tag has at most 128 letters, digits, dots, dashes and underscores, no dot or dash first",
    );
  }
  if (digest !== undefined) {
    try {
      parseDigest(digest);
    } catch (cause) {
      throw invalid((cause as Error).message, cause);
    }
  }

  const slash = name.indexOf("/");
  const first = name.slice(0, slash);
  const isHost = slash > 0 && (/[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase());
  let registry = isHost ? first : DOCKER_HUB;
  if (registry === "index.docker.io") registry = DOCKER_HUB;
  let repository = isHost ? name.slice(slash + 1) : name;
  if (!DOMAIN.test(registry)) throw invalid(`${JSON.stringify(registry)} is no registry's host`);
  if (Number(/:(\d+)$/.exec(registry)?.[1] ?? 1) > 65_535) throw invalid("its port is greater than 65535");
  if (/[A-Z]/.test(repository)) throw invalid("its path must be in lower case");
  for (const component of repository.split("/")) {
    if (!PATH_COMPONENT.test(component)) {
      throw invalid(
        `${JSON.stringify(component)} must be lower-case letters and digits, with single dots, ` +
          "one or two underscores or dashes between",
      );
    }
  }
  if (registry === DOCKER_HUB && !repository.includes("/")) repository = `library/${repository}`;
  if (registry.length + 1 + repository.length > MAXIMUM_NAME) {
    throw invalid(`it has more than ${MAXIMUM_NAME} characters`);
  }
  const reference: Reference = { registry, repository };
  if (tag !== undefined) reference.tag = tag;
  if (digest !== undefined) reference.digest = digest;
  if (tag === undefined && digest === undefined) reference.tag = "latest";
  return reference;
}

/** The whole name, as `docker.io/library/redis:latest`; two that mean the same give the same. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/** The name as a person writes it: without what is implied for Docker Hub. */
export function familiarName(reference: Reference): string {
  const whole = formatReference(reference);
  return whole.replace(/^docker\.io\/(?:library\/)?/, "");
}
