import { UruncError } from "../errors.ts";
import type { ContentStore } from "../image/layers/content.ts";
import { find } from "../image/layers/lookup.ts";
import type { Directory } from "../image/layers/tree.ts";

/** Bytes of a file of users that are looked at. */
const MOST = 1 << 20;

/**
 * The field `User` of an image in numbers: engines look names up in the image's own files, and an image whose root is
 * in a file of it has none.
 *
 * @param user as `name`, `name:group`, `1000`, `1000:1000`
 * @throws UruncError `build` for a name that the root does not have
 */
export function numericUser(user: string, root: Directory, contents: ContentStore): string {
  const [name = "", group] = user.split(":", 2);
  const entry = lineOf(root, contents, "passwd", name);
  const uid = /^\d+$/.test(name) ? name : entry?.[2];
  if (uid === undefined) throw unknown("user", name, "passwd");
  if (group === undefined || group === "") {
    const gid = entry?.[3];
    return gid === undefined ? uid : `${uid}:${gid}`;
  }
  const gid = /^\d+$/.test(group) ? group : lineOf(root, contents, "group", group)?.[2];
  if (gid === undefined) throw unknown("group", group, "group");
  return `${uid}:${gid}`;
}

function unknown(kind: string, name: string, file: string): UruncError {
  return new UruncError("build", `the image's ${kind} ${JSON.stringify(name)} is not in its /etc/${file}`);
}

function lineOf(root: Directory, contents: ContentStore, file: string, name: string): string[] | undefined {
  const inode = find(root, ["etc", file]);
  if (inode?.kind !== "file") return undefined;
  const parts: Buffer[] = [];
  for (const part of contents.readRuns(inode.content.runs, 0, Math.min(inode.content.size, MOST))) {
    parts.push(Buffer.from(part));
  }
  const lines = Buffer.concat(parts).toString().split("\n");
  return lines.map((line) => line.split(":")).find((fields) => fields[0] === name);
}
