import { UruncError } from "../errors.ts";

/** A place in a text, both counted from 1; columns are UTF-16 units, as editors have them. */
export interface Position {
  line: number;
  column: number;
}

/** A value and where it was written, for the sentence if it turns out to be wrong later. */
export interface Located<T> {
  value: T;
  at: Position;
}

/** The error of something that a build file says, as `FILE:LINE:COLUMN: sentence`. */
export function wrongAt(name: string, at: Position, sentence: string, cause?: unknown): UruncError {
  return new UruncError(
    "build-file",
    `${name}:${at.line}:${at.column}: ${sentence}`,
    cause === undefined ? {} : { cause },
  );
}
