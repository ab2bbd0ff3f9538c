import { UruncError } from "../../errors.ts";
import { digestOf, parseDigest } from "../spec/digest.ts";
import { type Descriptor, MAXIMUM_MANIFEST } from "../spec/manifest.ts";
import { MANIFEST_TYPES, manifestKind } from "../spec/media-type.ts";
import { familiarName, type Reference } from "../spec/reference.ts";
import { type Chunks, ContentError } from "../spec/verify.ts";
import { discard, refusal } from "./answer.ts";
import { endpointsOf, originOf, type RegistryConfiguration } from "./configuration.ts";
import { BrokenBody, Connection } from "./connection.ts";
import type { CredentialSource } from "./credentials.ts";
import { DEFAULT_PATIENCE, type Patience, waitBefore } from "./retry.ts";
import { uploadBlob } from "./upload.ts";

export interface RegistryOptions {
  configuration: RegistryConfiguration;
  credentials: CredentialSource;
  patience?: Patience;
}

/** A manifest or an index as a registry has it. */
export interface Fetched {
  descriptor: Descriptor;
  bytes: Uint8Array;
}

/** One repository of a registry: the OCI distribution specification's client. */
export class RepositoryClient {
  readonly reference: Reference;
  /** Mirrors first; the registry itself last. */
  readonly #readers: Connection[];
  readonly #origin: Connection;
  readonly #name: string;

  constructor(reference: Reference, options: RegistryOptions) {
    const { configuration, credentials, patience = DEFAULT_PATIENCE } = options;
    this.reference = reference;
    this.#name = familiarName(reference);
    this.#origin = new Connection(originOf(reference.registry, configuration), credentials, patience);
    this.#readers = endpointsOf(reference.registry, configuration)
      .slice(0, -1)
      .map((endpoint) => new Connection(endpoint, credentials, patience));
    this.#readers.push(this.#origin);
  }

  /**
   * A manifest or an index.
   *
   * @param target a tag or a digest
   * @throws UruncError `image-missing`, `registry`, `registry-denied`, or `image-invalid` if it is larger than
   *   {@link MAXIMUM_MANIFEST} or not what its digest says
   */
  manifest(target: string): Promise<Fetched> {
    return this.#read(async (connection) => {
      const { answer, bytes } = await this.#manifestFrom(connection, target);
      const mediaType = (answer.headers.get("content-type") ?? "").split(";")[0]?.trim() ?? "";
      const named = target.includes(":") ? target : answer.headers.get("docker-content-digest");
      const digest = named === null ? digestOf(bytes) : digestOf(bytes, parseDigest(named).algorithm);
      if (named !== null && digest !== named) {
        throw new UruncError(
          "image-invalid",
          `the manifest of ${this.#name} from ${connection.endpoint.host} has another content than its digest ${named} says`,
        );
      }
      return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
    });
  }

  /** Asks again where a connection breaks before the manifest's end. */
  async #manifestFrom(
    connection: Connection,
    target: string,
  ): Promise<{ answer: Response; bytes: Uint8Array }> {
    const { patience, endpoint } = connection;
    for (let attempt = 1; ; attempt++) {
      const answer = await connection.request(this.#path(`manifests/${target}`), {
        headers: { accept: MANIFEST_TYPES.join(", ") },
        scopes: this.#pull(),
      });
      if (answer.status !== 200) throw await refusal(answer, `cannot read ${this.#name}`, endpoint.host);
      const parts: Uint8Array[] = [];
      let size = 0;
      try {
        for await (const part of connection.body(answer)) {
          parts.push(part);
          size += part.length;
          if (size <= MAXIMUM_MANIFEST) continue;
          throw new UruncError(
            "image-invalid",
            `the manifest of ${this.#name} has more than ${MAXIMUM_MANIFEST} bytes, which are accepted at most`,
          );
        }
        return { answer, bytes: Buffer.concat(parts) };
      } catch (error) {
        if (!(error instanceof BrokenBody) || attempt >= patience.attempts) throw error;
        await Bun.sleep(waitBefore(patience, attempt, null, Date.now(), Math.random()) ?? 0);
      }
    }
  }

  /** What a tag or digest leads to, without its content; undefined where there is none. */
  async head(target: string): Promise<Descriptor | undefined> {
    const answer = await this.#origin.request(this.#path(`manifests/${target}`), {
      method: "HEAD",
      headers: { accept: MANIFEST_TYPES.join(", ") },
      scopes: this.#pull(),
    });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200)
      throw await refusal(answer, `cannot read ${this.#name}`, this.#origin.endpoint.host);
    const digest = target.includes(":") ? target : answer.headers.get("docker-content-digest");
    if (digest === null) return undefined;
    parseDigest(digest);
    const size = Number(answer.headers.get("content-length") ?? 0);
    return { mediaType: answer.headers.get("content-type") ?? "", digest, size };
  }

  /**
   * A blob's bytes from an offset on, not verified. A connection that breaks is made anew from where it broke.
   *
   * @throws UruncError as {@link manifest}
   */
  async *blob({ digest, size }: Descriptor, offset = 0): Chunks {
    let position = offset;
    for (const [index, connection] of this.#readers.entries()) {
      try {
        for await (const chunk of this.#blobFrom(connection, digest, size, position)) {
          position += chunk.length;
          yield chunk;
        }
        return;
      } catch (error) {
        if (index === this.#readers.length - 1) throw error;
      }
    }
  }

  async *#blobFrom(connection: Connection, digest: string, size: number, offset: number): Chunks {
    const { patience } = connection;
    let position = offset;
    for (let attempt = 1; ; attempt++) {
      const before = position;
      try {
        for await (const chunk of this.#blobOnce(connection, digest, position)) {
          position += chunk.length;
          yield chunk;
        }
        if (position >= size) return;
        throw new BrokenBody(
          `the connection to ${connection.endpoint.host} ended ${size - position} bytes before the end of ${digest}`,
          undefined,
        );
      } catch (error) {
        // Only what brings nothing any more is given up.
        if (position > before) attempt = 1;
        if (!(error instanceof BrokenBody) || attempt >= patience.attempts) throw error;
        await Bun.sleep(waitBefore(patience, attempt, null, Date.now(), Math.random()) ?? 0);
      }
    }
  }

  async *#blobOnce(connection: Connection, digest: string, offset: number): Chunks {
    const answer = await connection.request(this.#path(`blobs/${digest}`), {
      headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
      scopes: this.#pull(),
    });
    if (answer.status === 416) {
      await discard(answer);
      throw new ContentError(
        `the content ${digest} is truncated: ${connection.endpoint.host} has no more than ${offset} bytes of it`,
      );
    }
    if (answer.status !== 200 && answer.status !== 206) {
      throw await refusal(answer, `cannot read ${digest} of ${this.#name}`, connection.endpoint.host);
    }
    if (answer.status === 206) {
      const range = answer.headers.get("content-range") ?? "";
      if (!range.startsWith(`bytes ${offset}-`)) {
        await discard(answer);
        throw new UruncError(
          "registry",
          `${connection.endpoint.host} sent another part of ${digest} than asked for`,
        );
      }
      yield* connection.body(answer);
      return;
    }
    // A registry that does not know ranges sends all of it.
    let left = offset;
    for await (const chunk of connection.body(answer)) {
      const skipped = Math.min(left, chunk.length);
      left -= skipped;
      if (skipped < chunk.length) yield chunk.subarray(skipped);
    }
  }

  async hasBlob(digest: string): Promise<boolean> {
    const answer = await this.#origin.request(this.#path(`blobs/${digest}`), {
      method: "HEAD",
      scopes: this.#push(),
    });
    if (answer.status === 200) return true;
    if (answer.status === 404) return false;
    throw await refusal(answer, `cannot push ${this.#name}`, this.#origin.endpoint.host);
  }

  /**
   * Uploads a blob, unless it is there or can be taken from another repository of the registry.
   *
   * @param file its content, as large as the descriptor says; the registry verifies it
   * @param mountFrom repositories that may have it
   */
  async upload(
    descriptor: Descriptor,
    file: () => Promise<Blob>,
    mountFrom: readonly string[],
    onProgress: (bytes: number) => void,
  ): Promise<"present" | "mounted" | "uploaded"> {
    if (await this.hasBlob(descriptor.digest)) return "present";
    return uploadBlob({
      connection: this.#origin,
      repository: this.reference.repository,
      name: this.#name,
      scopes: this.#push(),
      descriptor,
      file,
      mountFrom,
      onProgress,
    });
  }

  /** @param target a tag or a digest */
  async putManifest(target: string, { mediaType, digest }: Descriptor, bytes: Uint8Array): Promise<void> {
    const answer = await this.#origin.request(this.#path(`manifests/${target}`), {
      method: "PUT",
      headers: { "content-type": mediaType },
      body: bytes,
      scopes: this.#push(),
    });
    if (answer.status !== 201)
      throw await refusal(answer, `cannot push ${this.#name}`, this.#origin.endpoint.host);
    await discard(answer);
    const stored = answer.headers.get("docker-content-digest");
    if (
      stored !== null &&
      stored !== digest &&
      parseDigest(stored).algorithm === parseDigest(digest).algorithm
    ) {
      throw new UruncError(
        "registry",
        `${this.#origin.endpoint.host} stored ${this.#name} as ${stored} and not ${digest}`,
      );
    }
  }

  /** Asks the mirrors in turn and then the registry, whose error is the user's. */
  async #read<T>(ask: (connection: Connection) => Promise<T>): Promise<T> {
    for (const connection of this.#readers.slice(0, -1)) {
      try {
        return await ask(connection);
      } catch (error) {
        if (!(error instanceof UruncError)) throw error;
      }
    }
    return ask(this.#origin);
  }

  #path(rest: string): string {
    return `v2/${this.reference.repository}/${rest}`;
  }

  #pull(): string[] {
    return [`repository:${this.reference.repository}:pull`];
  }

  #push(): string[] {
    return [`repository:${this.reference.repository}:pull,push`];
  }
}

/** What a reference leads to in its repository: the digest goes before the tag. */
export function targetOf(reference: Reference): string {
  return reference.digest ?? reference.tag ?? "latest";
}

/** Whether a descriptor is asked for as a manifest and not as a blob. */
export function isManifest(descriptor: Descriptor): boolean {
  return manifestKind(descriptor.mediaType) !== undefined;
}
