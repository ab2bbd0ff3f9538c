import type { Located } from "./position.ts";
import type { YamlReader } from "./reader.ts";

/** What this reader understands. */
const NEWEST = [0, 1, 0] as const;

/** Checks that a file is of a version up to ours: `v` is optional, as are minor number and patch. */
export function checkVersion(read: YamlReader, { value, at }: Located<string>): void {
  const parts = /^v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/.exec(
    value,
  );
  if (parts === null) throw read.wrong(at, `version is as v0.1, not ${JSON.stringify(value)}`);
  const numbers = [1, 2, 3].map((index) => Number(parts[index] ?? 0));
  for (const [index, newest] of NEWEST.entries()) {
    const number = numbers[index] as number;
    if (number < newest) return;
    if (number > newest) {
      throw read.wrong(
        at,
        `version ${value} is newer than v0.1, which is what this bunny reads: get a newer bunny`,
      );
    }
  }
}
