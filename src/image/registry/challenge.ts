/** How a registry wants to be told who asks: RFC 9110, section 11, and distribution's `token.md`. */
export type Challenge =
  | { kind: "basic" }
  | { kind: "bearer"; realm: string; service?: string; scope?: string };

/** The longest header that is looked at. */
const MAXIMUM_LENGTH = 8192;

/** The challenge of a `WWW-Authenticate` header that we can meet, a token's before a password's. */
export function parseChallenge(header: string | null): Challenge | undefined {
  if (header === null || header.length > MAXIMUM_LENGTH) return undefined;
  let basic: Challenge | undefined;
  for (const { scheme, parameters } of challenges(header)) {
    const { realm, service, scope } = parameters;
    if (scheme === "bearer" && realm !== undefined) {
      const challenge: Challenge = { kind: "bearer", realm };
      if (service !== undefined) challenge.service = service;
      if (scope !== undefined) challenge.scope = scope;
      return challenge;
    }
    if (scheme === "basic") basic = { kind: "basic" };
  }
  return basic;
}

interface Parsed {
  scheme: string;
  parameters: Partial<Record<"realm" | "service" | "scope" | "error", string>>;
}

/** A list where commas stand both between challenges and between the parameters of one. */
function challenges(header: string): Parsed[] {
  const parsed: Parsed[] = [];
  const part = /\s*,?\s*([A-Za-z][\w-]*)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/y;
  for (let match = part.exec(header); match !== null; match = part.exec(header)) {
    const [, word = "", quoted, plain] = match;
    const value = quoted?.replace(/\\(.)/g, "$1") ?? plain;
    if (value === undefined) parsed.push({ scheme: word.toLowerCase(), parameters: {} });
    else {
      const last = parsed.at(-1);
      if (last !== undefined) (last.parameters as Record<string, string>)[word.toLowerCase()] = value;
    }
  }
  return parsed;
}
