import { UruncError } from "../errors.ts";
import { type Platform, platformName } from "../image/spec/platform.ts";
import { ARCHITECTURES, type Architecture, type Bunnyfile } from "./bunnyfile.ts";
import { wrongAt } from "./position.ts";

/**
 * The architectures that a file is built for.
 *
 * @param asked none: those of the file
 * @param otherwise where the file names none either
 * @throws UruncError `usage` for platforms that nothing is built for, `build-file` for those that the file is not for
 */
export function architecturesOf(
  file: Bunnyfile,
  asked: readonly Platform[],
  otherwise: Platform,
): Architecture[] {
  const named = file.architectures.map(({ value }) => value);
  if (asked.length === 0 && named.length > 0) return named;
  return (asked.length === 0 ? [otherwise] : asked).map((platform) => {
    const architecture = ARCHITECTURES.find((known) => known === platform.architecture);
    if (platform.os !== "linux" || architecture === undefined) {
      const known = ARCHITECTURES.map((one) => `linux/${one}`).join(" and ");
      throw new UruncError("usage", `images are built for ${known}, not for ${platformName(platform)}`);
    }
    const [first] = file.architectures;
    if (first !== undefined && !named.includes(architecture)) {
      throw wrongAt(
        file.name,
        first.at,
        `the file is for ${named.join(" and ")}, and not for ${architecture}`,
      );
    }
    return architecture;
  });
}
