import { UruncError } from "../../errors.ts";
import { VERSION } from "../../version.ts";
import type { Chunks } from "../spec/verify.ts";
import { discard } from "./answer.ts";
import { authorize } from "./authority.ts";
import { parseChallenge } from "./challenge.ts";
import type { Endpoint } from "./configuration.ts";
import type { CredentialSource } from "./credentials.ts";
import { isTransient, type Patience, waitBefore } from "./retry.ts";

const MAXIMUM_REDIRECTS = 5;

/** Bytes of a body per millisecond that a line takes at least, before its request counts as dead. */
const SLOWEST_UPLOAD = 32;

/** A request, whoever gets it. */
export interface Message {
  method?: "GET" | "HEAD" | "POST" | "PATCH" | "PUT" | "DELETE";
  headers?: Record<string, string>;
  /** What can be sent again. */
  body?: Blob | Uint8Array | string;
  /** false: a request that may not be sent twice without looking first. */
  retry?: boolean;
}

/** One request to a registry. */
export interface RegistryRequest extends Message {
  /** What is done, as `repository:library/redis:pull`. */
  scopes: readonly string[];
}

/** A failure of the network, which another attempt may not meet. */
export class NetworkError extends UruncError {
  constructor(sentence: string, cause: unknown) {
    super("registry", sentence, { cause });
  }
}

/** An answer that began and did not come to its end. */
export class BrokenBody extends NetworkError {}

/** Requests to one registry: who asks, redirects, attempts. */
export class Connection {
  readonly endpoint: Endpoint;
  readonly patience: Patience;
  readonly #credentials: CredentialSource;
  /** By scopes; what was refused is asked for anew. */
  readonly #authorizations = new Map<string, Promise<string | undefined>>();

  constructor(endpoint: Endpoint, credentials: CredentialSource, patience: Patience) {
    this.endpoint = endpoint;
    this.patience = patience;
    this.#credentials = credentials;
  }

  /**
   * Sends a request and gives the last attempt's answer, whatever its status: its body is not read yet.
   *
   * @param path below the endpoint, or a URL that the registry named
   * @throws UruncError `registry` where nothing answers, `registry-denied` where it cannot be told who asks
   */
  async request(path: string, request: RegistryRequest): Promise<Response> {
    const url = new URL(path, `${this.endpoint.url}/`).href;
    const key = request.scopes.join(" ");
    const known = await this.#authorizations.get(key)?.catch(() => undefined);
    const answer = await this.#follow(url, request, known);
    if (answer.status !== 401 || !this.#isOurs(url)) return answer;
    const challenge = parseChallenge(answer.headers.get("www-authenticate"));
    if (challenge === undefined) return answer;
    // Several requests at once share one token; that of a refused one is old.
    const current = this.#authorizations.get(key);
    if (current === undefined || (await current.catch(() => undefined)) === known) {
      const asked = this.#credentials(this.endpoint.host).then((credentials) =>
        authorize(challenge, credentials, request.scopes, this.endpoint.url, (to, message) =>
          this.#follow(to, message),
        ),
      );
      asked.catch(() => {});
      this.#authorizations.set(key, asked);
    }
    const authorization = await this.#authorizations.get(key);
    if (authorization === undefined || authorization === known) return answer;
    await discard(answer);
    return this.#follow(url, request, authorization);
  }

  /**
   * The body of an answer, piece by piece.
   *
   * @throws BrokenBody where it ends early or nothing comes for too long
   */
  async *body(answer: Response): Chunks {
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      // It throws where the connection broke before anybody looked.
      reader = answer.body?.getReader() as typeof reader;
      if (reader === undefined) return;
      for (;;) {
        const { promise: silence, reject } = Promise.withResolvers<never>();
        silence.catch(() => {});
        timer = setTimeout(() => reject(new Error("nothing came for too long")), this.patience.silence);
        const { done, value } = await Promise.race([reader.read(), silence]);
        clearTimeout(timer);
        if (done) return;
        yield value;
      }
    } catch (cause) {
      throw new BrokenBody(`the connection to ${this.endpoint.host} broke: ${messageOf(cause)}`, cause);
    } finally {
      clearTimeout(timer);
      await reader?.cancel().catch(() => {});
    }
  }

  #isOurs(url: string): boolean {
    return new URL(url).origin === new URL(this.endpoint.url).origin;
  }

  /** Follows redirects; to another host nothing goes that says who asks. */
  async #follow(start: string, request: Message, authorization?: string): Promise<Response> {
    const method = request.method ?? "GET";
    const reads = method === "GET" || method === "HEAD";
    let url = start;
    for (let redirects = 0; ; redirects++) {
      const headers: Record<string, string> = {
        "user-agent": `bunny/${VERSION}`,
        // Content is verified as it is kept: a server must not compress it on its way.
        "accept-encoding": "identity",
        ...request.headers,
      };
      if (!this.#sameOrigin(url, start)) delete headers["authorization"];
      else if (authorization !== undefined && this.#isOurs(url)) headers["authorization"] = authorization;
      const answer = await this.#attempt(
        url,
        { method, headers, body: request.body ?? null },
        request.retry ?? true,
      );
      const location = answer.headers.get("location");
      const redirected = (reads ? [301, 302, 303, 307, 308] : [307, 308]).includes(answer.status);
      if (!redirected || location === null) return answer;
      await discard(answer);
      const next = URL.canParse(location, url) ? new URL(location, url) : undefined;
      if (next === undefined || !/^https?:$/.test(next.protocol)) {
        throw new UruncError(
          "registry",
          `${this.endpoint.host} redirects to ${JSON.stringify(location.slice(0, 200))}`,
        );
      }
      if (url.startsWith("https:") && next.protocol === "http:") {
        throw new UruncError(
          "registry",
          `${this.endpoint.host} redirects to ${next.host} without encryption`,
        );
      }
      if (redirects === MAXIMUM_REDIRECTS) {
        throw new UruncError(
          "registry",
          `${this.endpoint.host} redirects more than ${MAXIMUM_REDIRECTS} times`,
        );
      }
      url = next.href;
    }
  }

  #sameOrigin(one: string, other: string): boolean {
    return new URL(one).origin === new URL(other).origin;
  }

  async #attempt(url: string, init: RequestInit, retry: boolean): Promise<Response> {
    const attempts = retry ? this.patience.attempts : 1;
    for (let attempt = 1; ; attempt++) {
      let answer: Response | undefined;
      let failure: unknown;
      try {
        answer = await this.#once(url, init);
        if (!isTransient(answer.status)) return answer;
      } catch (error) {
        failure = error;
      }
      const retryAfter = answer?.headers.get("retry-after") ?? null;
      const wait = waitBefore(this.patience, attempt, retryAfter, Date.now(), Math.random());
      if (attempt >= attempts || wait === undefined || isFinal(failure)) {
        if (answer !== undefined) return answer;
        throw new NetworkError(unreachable(url, failure), failure);
      }
      if (answer !== undefined) await discard(answer);
      await Bun.sleep(wait);
    }
  }

  async #once(url: string, init: RequestInit): Promise<Response> {
    const controller = new AbortController();
    const { body } = init;
    const size = body instanceof Blob ? body.size : ((body as Uint8Array | string | null)?.length ?? 0);
    const silence = this.patience.silence + size / SLOWEST_UPLOAD;
    const timer = setTimeout(() => controller.abort(new Error("no answer came in time")), silence);
    try {
      return await fetch(url, {
        ...init,
        redirect: "manual",
        decompress: false,
        timeout: false,
        signal: controller.signal,
      } as RequestInit);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A name that is not known and a certificate that is wrong stay so. */
function isFinal(failure: unknown): boolean {
  const code = String((failure as { code?: unknown } | undefined)?.code ?? "");
  return /CERT|ENOTFOUND|DNS|SELF_SIGNED|ERR_TLS/i.test(code);
}

function unreachable(url: string, failure: unknown): string {
  const { host, protocol } = new URL(url);
  const hint =
    protocol === "https:" ? "; a registry without encryption must be insecure in bunny's configuration" : "";
  return `${host} cannot be reached: ${messageOf(failure)}${hint}`;
}

/** An error's text without the advice to programmers that follows it. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\. For more information.*$|\. Is the computer able.*$/s, "");
}
