import { UruncError } from "../../errors.ts";
import { parseDigest } from "./digest.ts";

type Json = Record<string, unknown>;

/**
 * The JSON object in bytes.
 *
 * @throws UruncError `image-invalid`: too large, not UTF-8, not JSON, no object
 */
export function parseDocument(bytes: Uint8Array, where: string, maximum: number): Json {
  if (bytes.length > maximum) {
    throw new UruncError(
      "image-invalid",
      `${where} has ${bytes.length} bytes: at most ${maximum} are accepted`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new UruncError("image-invalid", `${where} is not JSON: ${(cause as Error).message}`, { cause });
  }
  return new DocumentReader(where).object(value, "the document");
}

/** Takes fields out of a document of somebody else's, each checked; what is wrong names the field. */
export class DocumentReader {
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  invalid(what: string): UruncError {
    return new UruncError("image-invalid", `${this.#where} ${what}`);
  }

  object(value: unknown, at: string): Json {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
    throw this.#wrong(value, at, "an object");
  }

  list(value: unknown, at: string): unknown[] {
    if (Array.isArray(value)) return value;
    throw this.#wrong(value, at, "a list");
  }

  string(value: unknown, at: string): string {
    if (typeof value === "string" && value !== "") return value;
    throw this.#wrong(value, at, "a string");
  }

  /** Go's writers leave an empty string or null where there is nothing. */
  optionalString(value: unknown, at: string): string | undefined {
    if (value === undefined || value === null || value === "") return undefined;
    return this.string(value, at);
  }

  stringList(value: unknown, at: string): string[] {
    if (value === undefined || value === null) return [];
    const entries = this.list(value, at);
    for (const [index, entry] of entries.entries()) {
      if (typeof entry !== "string") throw this.#wrong(entry, `${at}[${index}]`, "a string");
    }
    return entries as string[];
  }

  strings(value: unknown, at: string): Record<string, string> {
    if (value === undefined || value === null) return {};
    const fields = this.object(value, at);
    for (const [name, field] of Object.entries(fields)) {
      if (typeof field !== "string") throw this.#wrong(field, `${at}[${JSON.stringify(name)}]`, "a string");
    }
    return fields as Record<string, string>;
  }

  size(value: unknown, at: string, maximum: number): number {
    if (!Number.isSafeInteger(value) || (value as number) < 0)
      throw this.#wrong(value, at, "a size in bytes");
    if ((value as number) > maximum) {
      throw this.invalid(`has ${at} of ${value} bytes: at most ${maximum} are accepted`);
    }
    return value as number;
  }

  digest(value: unknown, at: string): string {
    const text = this.string(value, at);
    try {
      parseDigest(text);
    } catch (cause) {
      throw new UruncError(
        "image-invalid",
        `${this.#where} has ${at} that is no digest: ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
    return text;
  }

  #wrong(value: unknown, at: string, wanted: string): UruncError {
    if (value === undefined) return this.invalid(`lacks ${at}`);
    const kind = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
    return this.invalid(`has ${at} that is ${kind} and must be ${wanted}`);
  }
}
