import { UruncError } from "../../errors.ts";
import { readBounded, refusal } from "../registry/answer.ts";
import { familiarName, type Reference } from "../spec/reference.ts";
import type { Chunks } from "../spec/verify.ts";
import type { ArchiveOutput } from "./docker-archive.ts";

const DEFAULT_SOCKET = "/var/run/docker.sock";

/** Bytes of what Docker says about a load. */
const MAXIMUM_ANSWER = 4 * 1024 * 1024;

/**
 * The socket of the Docker that the environment names.
 *
 * @throws UruncError `not-supported` for one that is not on this machine
 */
export function dockerSocket(environment: Record<string, string | undefined>): string {
  const host = environment["DOCKER_HOST"];
  if (!host) return DEFAULT_SOCKET;
  const path = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (path === undefined) {
    throw new UruncError(
      "not-supported",
      `DOCKER_HOST is ${JSON.stringify(host)}: only a socket of this machine is supported, as unix:///var/run/docker.sock`,
    );
  }
  return path;
}

/**
 * What `docker save` gives: Docker's Engine API, `GET /images/{name}/get`.
 *
 * @throws UruncError `image-missing` or `registry`
 */
export async function saveFromDocker(socket: string, name: Reference): Promise<Chunks> {
  const answer = await ask(socket, `/images/${encodeURIComponent(familiarName(name))}/get`, {
    method: "GET",
  });
  if (answer.status !== 200) throw await refusal(answer, `cannot save ${familiarName(name)}`, "Docker");
  return chunksOf(answer);
}

async function* chunksOf(answer: Response): Chunks {
  try {
    for await (const chunk of answer.body ?? []) yield chunk;
  } catch (cause) {
    throw new UruncError("registry", `the connection to Docker broke: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** `docker load`: Docker's Engine API, `POST /images/load`. */
export function loadIntoDocker(socket: string): ArchiveOutput {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  writer.closed.catch(() => {});
  const loaded = ask(socket, "/images/load?quiet=1", {
    method: "POST",
    headers: { "content-type": "application/x-tar" },
    body: readable,
  }).then(checkLoaded);
  // Docker may refuse before it has read everything; nobody reads what we write then.
  const refused = loaded.then(() => new Promise<never>(() => {}));
  refused.catch(() => {});
  return {
    // It is sent later, and the reader's buffer is used again.
    write: (chunk) => Promise.race([writer.write(Buffer.from(chunk)), refused]),
    async finish() {
      await Promise.race([writer.close(), refused]);
      await loaded;
    },
    async close() {
      await writer.abort(new Error("the image was not read to its end")).catch(() => {});
      await loaded.catch(() => {});
    },
  };
}

/** Docker answers 200 and says later, a document on each line, what went wrong. */
async function checkLoaded(answer: Response): Promise<void> {
  if (answer.status !== 200) throw await refusal(answer, "cannot load the image", "Docker");
  const text = new TextDecoder().decode((await readBounded(answer, MAXIMUM_ANSWER)) ?? new Uint8Array());
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    let error: unknown;
    try {
      error = (JSON.parse(line) as Record<string, unknown>)["error"];
    } catch {
      continue;
    }
    if (error !== undefined)
      throw new UruncError("registry", `Docker did not load the image: ${String(error)}`);
  }
}

async function ask(socket: string, path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(`http://docker${path}`, { ...init, unix: socket, timeout: false } as RequestInit);
  } catch (cause) {
    throw new UruncError(
      "registry",
      `Docker cannot be reached at ${socket}: ${(cause as Error).message}; is it running, and may you use it?`,
      { cause },
    );
  }
}
