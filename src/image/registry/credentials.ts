import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { UruncError } from "../../errors.ts";

/** What proves to a registry who asks. */
export type Credentials =
  | { kind: "password"; user: string; password: string }
  /** An OAuth 2 refresh token, which only the registry's token server takes. */
  | { kind: "identity-token"; token: string };

/** Gives the credentials of a host, or undefined where there are none. */
export type CredentialSource = (host: string) => Promise<Credentials | undefined>;

/** Milliseconds that a credential helper may take: it may ask the user. */
const HELPER_TIMEOUT = 60_000;

/** Docker Hub's name in Docker's configuration. */
const DOCKER_HUB = "https://index.docker.io/v1/";

interface DockerConfiguration {
  auths: Record<string, unknown>;
  credHelpers: Record<string, unknown>;
  credsStore?: unknown;
}

/**
 * Credentials of Docker's `config.json`, which is in `DOCKER_CONFIG` or `~/.docker`: what `docker login` leaves.
 * `credHelpers` goes before `credsStore`, and that before `auths`, as with Docker.
 */
export function dockerCredentials(environment: Record<string, string | undefined>): CredentialSource {
  let configuration: DockerConfiguration | undefined;
  return async (host) => {
    const directory = environment["DOCKER_CONFIG"] || join(environment["HOME"] || homedir(), ".docker");
    configuration ??= readConfiguration(join(directory, "config.json"));
    const server = host === "docker.io" ? DOCKER_HUB : host;
    const helper = own(configuration.credHelpers, server) ?? configuration.credsStore;
    if (helper !== undefined && helper !== "") {
      const found = await askHelper(helper, server, environment);
      if (found !== undefined) return found;
    }
    return stored(configuration.auths, server);
  };
}

function readConfiguration(path: string): DockerConfiguration {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) {
      return { auths: {}, credHelpers: {} };
    }
    throw new UruncError("config-invalid", `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  let document: Record<string, unknown> | null;
  try {
    document = JSON.parse(text) as Record<string, unknown> | null;
  } catch {
    // The parser's sentence may show what is in the file.
    throw new UruncError("config-invalid", `Docker's configuration ${path} is not JSON`);
  }
  const table = (key: string) => {
    const value = document?.[key];
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  };
  return { auths: table("auths"), credHelpers: table("credHelpers"), credsStore: document?.["credsStore"] };
}

/** `auths` has a host as it is, or as a URL from the time of the first registry. */
function stored(auths: Record<string, unknown>, server: string): Credentials | undefined {
  const match = Object.keys(auths).find((key) => key === server || hostOf(key) === hostOf(server));
  const entry = own(auths, server) ?? (match === undefined ? undefined : auths[match]);
  if (typeof entry !== "object" || entry === null) return undefined;
  const fields = entry as Record<string, unknown>;
  if (typeof fields["identitytoken"] === "string" && fields["identitytoken"] !== "") {
    return { kind: "identity-token", token: fields["identitytoken"] };
  }
  if (typeof fields["auth"] === "string" && fields["auth"] !== "") {
    const decoded = Buffer.from(fields["auth"], "base64").toString("utf8").replace(/\0+$/, "");
    const colon = decoded.indexOf(":");
    if (colon <= 0) {
      throw new UruncError(
        "config-invalid",
        `Docker's configuration has an auth for ${server} that is no user:password`,
      );
    }
    return { kind: "password", user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
  }
  if (typeof fields["username"] === "string" && typeof fields["password"] === "string") {
    return { kind: "password", user: fields["username"], password: fields["password"] };
  }
  return undefined;
}

function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
}

function own(table: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** The protocol of docker-credential-helpers: the server's name in, a document or a sentence out. */
async function askHelper(
  helper: unknown,
  server: string,
  environment: Record<string, string | undefined>,
): Promise<Credentials | undefined> {
  if (typeof helper !== "string" || !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(helper)) {
    throw new UruncError(
      "config-invalid",
      "Docker's configuration names a credential helper that is no program's name",
    );
  }
  const program = `docker-credential-${helper}`;
  const path = Bun.which(program, { PATH: environment["PATH"] ?? "" });
  if (path === null) {
    throw new UruncError(
      "config-invalid",
      `Docker's configuration has the credentials of ${server} kept by ${program}, which is not in the PATH`,
    );
  }
  const child = Bun.spawn([path, "get"], {
    env: environment,
    stdin: new TextEncoder().encode(server),
    stdout: "pipe",
    stderr: "ignore",
    timeout: HELPER_TIMEOUT,
    killSignal: "SIGKILL",
  });
  const [output, status] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  if (status !== 0) {
    if (/credentials not found|no credentials/i.test(output)) return undefined;
    throw new UruncError(
      "registry-denied",
      `${program} did not give the credentials of ${server}: ${output.trim().split("\n")[0] || `exit status ${status}`}`,
    );
  }
  let answer: Record<string, unknown> | null;
  try {
    answer = JSON.parse(output) as Record<string, unknown> | null;
  } catch {
    throw new UruncError(
      "registry-denied",
      `${program} answered for ${server} with something that is not JSON`,
    );
  }
  const { Username: user, Secret: secret } = answer ?? {};
  if (typeof user !== "string" || typeof secret !== "string") {
    throw new UruncError("registry-denied", `${program} answered for ${server} without Username and Secret`);
  }
  if (user === "" && secret === "") return undefined;
  return user === "<token>"
    ? { kind: "identity-token", token: secret }
    : { kind: "password", user, password: secret };
}
