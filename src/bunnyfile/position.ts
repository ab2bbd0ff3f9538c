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

/** An error of something that a build file says, and where. */
export class PlacedError extends UruncError {
  readonly at: Position;

  constructor(name: string, at: Position, sentence: string, cause?: unknown) {
    super("build-file", `${name}:${at.line}:${at.column}: ${sentence}`, cause === undefined ? {} : { cause });
    this.at = at;
  }
}

/** The error of something that a build file says, as `FILE:LINE:COLUMN: sentence`. */
export function wrongAt(name: string, at: Position, sentence: string, cause?: unknown): PlacedError {
  return new PlacedError(name, at, sentence, cause);
}
