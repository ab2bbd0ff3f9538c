import { type ErrorCode, UruncError } from "../../errors.ts";

/** Bytes of an error's text that are read. */
const MAXIMUM_TEXT = 16 * 1024;

/**
 * The bytes of an answer, at most so many of them.
 *
 * @returns undefined if there are more
 * @throws UruncError `registry` where it breaks off
 */
export async function readBounded(answer: Response, maximum: number): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    // Leaving the loop cancels what is left of it.
    for await (const part of answer.body ?? []) {
      size += part.length;
      if (size > maximum) return undefined;
      parts.push(part);
    }
  } catch (cause) {
    throw new UruncError("registry", "a connection broke before the end of an answer: try again", { cause });
  }
  return Buffer.concat(parts);
}

/** Gives up an answer whose content is of no interest. */
export async function discard(answer: Response): Promise<void> {
  try {
    await answer.body?.cancel();
  } catch {
    // Its connection broke, which is what giving it up would do.
  }
}

/** What a refusing answer is to the user: distribution-spec, "Error Codes". */
export async function refusal(answer: Response, what: string, host: string): Promise<UruncError> {
  const said = await reason(answer);
  const because = said === "" ? "" : `: ${said}`;
  const [code, sentence] = meaning(answer.status, what, host, `${answer.status}${because}`);
  return new UruncError(code, sentence);
}

function meaning(status: number, what: string, host: string, said: string): [ErrorCode, string] {
  switch (status) {
    case 401:
      return [
        "registry-denied",
        `${what}: ${host} wants to know who asks (${said}): check the name, or run "docker login ${host}"`,
      ];
    case 403:
      return ["registry-denied", `${what}: ${host} does not allow it (${said})`];
    case 404:
      return ["image-missing", `${what}: ${host} does not have it (${said})`];
    case 429:
      return ["registry", `${what}: ${host} is asked too often (${said}): try again later`];
    default:
      return ["registry", `${what}: ${host} answered ${said}`];
  }
}

/** The first error's text, on one line and without what a terminal would act upon. */
async function reason(answer: Response): Promise<string> {
  try {
    const bytes = await readBounded(answer, MAXIMUM_TEXT);
    const text = new TextDecoder().decode(bytes ?? new Uint8Array());
    const document = JSON.parse(text) as {
      errors?: { code?: unknown; message?: unknown }[];
      details?: unknown;
    };
    const first = document.errors?.[0];
    return [first?.message ?? first?.code ?? document.details ?? ""]
      .map(String)
      .join("")
      .replace(/\p{C}+/gu, " ")
      .slice(0, 300);
  } catch {
    return "";
  }
}
