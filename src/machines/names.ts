import { randomBytes, randomInt } from "node:crypto";
import { UruncError } from "../errors.ts";

const CONSONANTS = "bdfghjklmnprstvz";
const VOWELS = "aeiou";

/** An identifier as Docker's: 64 hexadecimal digits. */
export function newId(): string {
  return randomBytes(32).toString("hex");
}

/** A name that can be said: three words of two syllables have 2^37 forms. */
export function newName(): string {
  const pick = (letters: string) => letters[randomInt(letters.length)] as string;
  const word = () => `${pick(CONSONANTS)}${pick(VOWELS)}${pick(CONSONANTS)}${pick(VOWELS)}`;
  return [word(), word(), word()].join("-");
}

/** @throws UruncError `usage`, in Docker's words */
export function checkName(name: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/.test(name)) return name;
  throw new UruncError(
    "usage",
    `invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to 128 of them`,
  );
}
