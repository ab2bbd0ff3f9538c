import { resolve } from "node:path";
import { dataDirectory } from "../../config/own-directories.ts";
import { Layout } from "./layout.ts";

/**
 * Where the user's images are: `bunny` in the directory of the XDG Base Directory Specification for a user's data.
 *
 * @param named the flag `--store`, which goes before
 */
export function storeDirectory(named: string | undefined): string {
  return named === undefined ? dataDirectory("bunny") : resolve(named);
}

/**
 * The user's images, an image layout whose names are whole, as `docker.io/library/redis:latest`.
 *
 * @throws UruncError `store` where it cannot be made
 */
export function openStore(named: string | undefined): Layout {
  return Layout.openOrCreate(storeDirectory(named));
}
