import { UruncError } from "../errors.ts";

/** A file name's length, in bytes: the identifier becomes one. */
const LONGEST = 255;

/**
 * Checks a container's identifier by runc's rule: letters, digits and `_ + - .`, not `.` or `..`.
 *
 * @throws UruncError `id-invalid`
 */
export function checkContainerId(id: string): string {
  if (id.length > LONGEST) {
    throw new UruncError(
      "id-invalid",
      `the container id is ${id.length} characters long: at most ${LONGEST} are possible`,
    );
  }
  if (!/^[\w+.-]+$/.test(id) || id === "." || id === "..") {
    throw new UruncError(
      "id-invalid",
      `invalid container id format ${JSON.stringify(id)}: use letters, digits and the characters _ + - .`,
    );
  }
  return id;
}
