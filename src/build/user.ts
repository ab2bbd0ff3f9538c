import { UruncError } from "../errors.ts";
import { type Accounts, accountsOf, findUser } from "../image/accounts.ts";
import type { ContentStore } from "../image/layers/content.ts";
import type { Directory } from "../image/layers/tree.ts";

/**
 * The field `User` of an image as `USER:GROUP` in numbers: engines look names up in the image's own files, and an image
 * whose root is in a file of it has none.
 *
 * @param user as `name`, `name:group`, `1000`, `1000:1000`
 * @throws UruncError `build` for a name that the accounts do not have
 */
export function userInNumbers(user: string, accounts: Accounts): string {
  try {
    const { uid, gid } = findUser(user, accounts);
    return `${uid}:${gid}`;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UruncError("build", `the image's user ${JSON.stringify(user)}: ${reason}`, { cause: error });
  }
}

/** Whether a field `User` is that already, or says nothing. */
export function isInNumbers(user: string): boolean {
  return user === "" || /^\d+:\d+$/.test(user);
}

/**
 * {@link userInNumbers} by the files of a root.
 *
 * @throws UruncError also `image-invalid`
 */
export function numericUser(user: string, root: Directory, contents: ContentStore): string {
  return userInNumbers(user, accountsOf(root, contents));
}
