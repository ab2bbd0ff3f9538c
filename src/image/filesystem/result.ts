import { UruncError } from "../../errors.ts";
import { type ByteString, shown } from "../layers/tree.ts";

/** What a file system's form has no room for. */
export interface Loss {
  path: ByteString;
  /** As `extended attributes`. */
  what: string;
}

/** What was written. */
export interface Written {
  /** The file's length; what it takes on the disk may be less. */
  bytes: number;
  /** What of the tree is not in it: to be told to the user. */
  losses: readonly Loss[];
}

/** The error of a file that a form cannot hold. */
export function cannotHold(form: string, path: ByteString, what: string): UruncError {
  return new UruncError("file-system", `${form} cannot hold ${shown(path === "" ? "/" : path)}: ${what}`);
}
