import { UruncError } from "../../errors.ts";
import { discard, readBounded } from "./answer.ts";
import type { Challenge } from "./challenge.ts";
import type { Message } from "./connection.ts";
import type { Credentials } from "./credentials.ts";

/** Bytes of a token server's answer that are accepted. */
const MAXIMUM_ANSWER = 1024 * 1024;

/** Sends one request, with the retries that any has. */
export type Send = (url: string, message: Message) => Promise<Response>;

/**
 * The `Authorization` header that meets a challenge.
 *
 * @param scopes what is going to be done, as `repository:library/redis:pull`
 * @param endpoint the registry's URL: credentials that it protects do not go out unprotected because it says so
 * @returns undefined where it takes credentials and there are none
 * @throws UruncError `registry-denied`
 */
export async function authorize(
  challenge: Challenge,
  credentials: Credentials | undefined,
  scopes: readonly string[],
  endpoint: string,
  send: Send,
): Promise<string | undefined> {
  if (challenge.kind === "basic") {
    return credentials?.kind === "password" ? basic(credentials.user, credentials.password) : undefined;
  }
  const realm = tokenServer(challenge.realm, endpoint);
  const token =
    credentials?.kind === "identity-token"
      ? await refresh(realm, challenge, credentials.token, scopes, send)
      : await fetchToken(realm, challenge, credentials, scopes, send);
  return `Bearer ${token}`;
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function tokenServer(realm: string, endpoint: string): URL {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UruncError(
      "registry",
      `${endpoint} names no token server but ${JSON.stringify(realm.slice(0, 200))}`,
    );
  }
  if (url.protocol === "http:" && endpoint.startsWith("https:")) {
    throw new UruncError(
      "registry-denied",
      `${endpoint} wants credentials to be sent to ${url.origin}, which is not encrypted: they were not sent`,
    );
  }
  // Whoever is named in a URL is not who asks.
  url.username = "";
  url.password = "";
  return url;
}

/** distribution's `token.md`. */
async function fetchToken(
  realm: URL,
  challenge: Challenge & { kind: "bearer" },
  credentials: (Credentials & { kind: "password" }) | undefined,
  scopes: readonly string[],
  send: Send,
): Promise<string> {
  const url = new URL(realm);
  if (challenge.service !== undefined) url.searchParams.set("service", challenge.service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  const headers: Record<string, string> =
    credentials === undefined ? {} : { authorization: basic(credentials.user, credentials.password) };
  return tokenOf(await send(url.href, { headers }), realm);
}

/** distribution's `oauth.md`. */
async function refresh(
  realm: URL,
  challenge: Challenge & { kind: "bearer" },
  token: string,
  scopes: readonly string[],
  send: Send,
): Promise<string> {
  const body = new URLSearchParams({
    grant_type: "refresh_token",
    client_id: "bunny",
    refresh_token: token,
    scope: scopes.join(" "),
    ...(challenge.service === undefined ? {} : { service: challenge.service }),
  });
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return tokenOf(await send(realm.href, { method: "POST", body: body.toString(), headers }), realm);
}

async function tokenOf(answer: Response, realm: URL): Promise<string> {
  if (answer.status !== 200) {
    await discard(answer);
    const wrong = answer.status === 401 || answer.status === 403;
    throw new UruncError(
      wrong ? "registry-denied" : "registry",
      `the token server ${realm.host} answered ${answer.status}${wrong ? ': the credentials are wrong, or not enough: run "docker login"' : ""}`,
    );
  }
  const bytes = await readBounded(answer, MAXIMUM_ANSWER);
  let document: Record<string, unknown> | null = null;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes ?? new Uint8Array())) as typeof document;
  } catch {
    // As one without a token.
  }
  const token = document?.["token"] || document?.["access_token"];
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    throw new UruncError("registry", `the token server ${realm.host} answered without a token`);
  }
  return token;
}
