import { type Accounts, findUser } from "../../image/accounts.ts";

/** Whom a file belongs to. */
export interface Owner {
  uid: number;
  gid: number;
}

/**
 * Whom `--chown` or `USER` means as the owner of files, by BuildKit's rules: a number alone is the group's, too; a name
 * alone is of the group that the user has.
 *
 * @param text `user[:group]` in names or numbers; empty is root
 * @throws UruncError `usage` for a name that is not there
 */
export function ownerOf(text: string, accounts: Accounts): Owner {
  const [user = "", group = ""] = text.split(":", 2);
  const isNumber = /^[0-9]+$/.test(user);
  const found = findUser(isNumber && group === "" ? `${user}:${user}` : text, {
    // A number is no name.
    passwd: isNumber ? "" : accounts.passwd,
    group: /^[0-9]+$/.test(group) || group === "" ? "" : accounts.group,
  });
  return { uid: found.uid, gid: found.gid };
}
