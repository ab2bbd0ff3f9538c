import { UruncError } from "../errors.ts";
import type { User } from "../oci/runtime-spec.ts";
import type { ContentStore } from "./layers/content.ts";
import { find, insideRoot } from "./layers/lookup.ts";
import type { Directory } from "./layers/tree.ts";

/** An image's `/etc/passwd` and `/etc/group`; empty where it has none. */
export interface Accounts {
  passwd: string;
  group: string;
}

/** Bytes of either that are looked at. */
export const LARGEST_ACCOUNTS = 1 << 20;

/** The largest number that the kernel takes for a user or group. */
const MOST = 0x7fff_ffff;

/**
 * The accounts of an image's root; links are followed inside it.
 *
 * @throws UruncError `image-invalid` for a file that is too large
 */
export function accountsOf(root: Directory, contents: ContentStore): Accounts {
  const text = (path: string) => {
    const file = find(root, insideRoot(path));
    if (file?.kind !== "file") return "";
    const { size } = file.content;
    if (size > LARGEST_ACCOUNTS) {
      throw new UruncError("image-invalid", `the image's /${path} has ${size} bytes: at most 1 MiB is read`);
    }
    return Buffer.concat(Array.from(contents.readAll(file.content), (part) => Buffer.from(part))).toString();
  };
  return { passwd: text("etc/passwd"), group: text("etc/group") };
}

/**
 * Whom `USER[:GROUP]` of an image or of `--user` means, names and numbers, by Docker's rules: a number needs no entry; a
 * user's further groups are those that name it, unless a group was said.
 *
 * @param text empty for root
 * @throws UruncError `usage`, in Docker's words
 */
export function findUser(text: string, accounts: Accounts): User {
  const colon = text.indexOf(":");
  const userText = colon < 0 ? text : text.slice(0, colon);
  const groupText = colon < 0 ? "" : text.slice(colon + 1);
  const users = entries(accounts.passwd, 4);
  const groups = entries(accounts.group, 3);
  const wanted = userText === "" ? "0" : userText;
  const user = users.find(([name]) => name === wanted) ?? users.find(([, , uid]) => uid === wanted);
  const uid = user === undefined ? number(wanted) : number(user[2]);
  if (uid === undefined) {
    throw new UruncError("usage", `unable to find user ${userText}: no matching entries in passwd file`);
  }
  if (groupText !== "") {
    const group =
      groups.find(([name]) => name === groupText) ?? groups.find(([, , gid]) => gid === groupText);
    const gid = group === undefined ? number(groupText) : number(group[2]);
    if (gid === undefined) {
      throw new UruncError("usage", `unable to find group ${groupText}: no matching entries in group file`);
    }
    return { uid, gid };
  }
  const gid = number(user?.[3] ?? "0") ?? 0;
  const name = user?.[0];
  const additionalGids = groups.flatMap(([, , id, members = ""]) => {
    const further = name !== undefined && members.split(",").includes(name) ? number(id) : undefined;
    return further === undefined ? [] : [further];
  });
  return { uid, gid, ...(additionalGids.length === 0 ? {} : { additionalGids }) };
}

function entries(text: string, least: number): string[][] {
  return text
    .split("\n")
    .map((line) => line.trim().split(":"))
    .filter((fields) => fields.length >= least);
}

function number(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= MOST ? value : undefined;
}
