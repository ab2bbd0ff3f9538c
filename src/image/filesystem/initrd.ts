import { CPIO_END, type CpioHeader, cpioHeader, cpioPadding } from "../cpio.ts";
import type { ContentStore } from "../layers/content.ts";
import { type Directory, type Place, placesOf } from "../layers/tree.ts";
import { modeOf } from "./mode.ts";
import { type FileOptions, makeFile, type Output, writePart } from "./output.ts";
import { cannotHold, type Loss, type Written } from "./result.ts";

/** Linux's longest path, without its final NUL. */
const MAX_PATH = 4095;
const MAX_SIZE = 0xffff_ffff;
const FORM = "an initrd (cpio)";

/**
 * Writes a tree as an initrd: a cpio archive in the format `newc`, not compressed. Equal trees give equal bytes.
 *
 * Hard links are kept: their names have one inode number, and the data is with the first, as `gen_init_cpio` of Linux
 * has it. The format has whole seconds since 1970 in 32 bits, and times outside of that become the nearest. It has no
 * extended attributes: those are the losses.
 *
 * @throws UruncError `file-system` for a file of 4 GiB or more, a longer path than Linux unpacks, or an archive that
 *   cannot be written
 */
export function writeInitrd(
  tree: Directory,
  store: ContentStore,
  path: string,
  options: FileOptions = {},
): Written {
  const losses: Loss[] = [];
  const make = (output: Output) => {
    writeArchive(output, tree, store, losses);
    return output.position;
  };
  return { bytes: makeFile(path, make, options), losses };
}

function writeArchive(output: Output, tree: Directory, store: ContentStore, losses: Loss[]): void {
  const places = placesOf(tree);
  const numbers = new Map(places.filter(({ first }) => first).map(({ inode }, index) => [inode, index + 1]));
  for (const place of places) {
    const { inode, first } = place;
    if (first && inode.xattrs.size > 0) losses.push({ path: place.path, what: "extended attributes" });
    const header = headerOf(place, numbers.get(inode) as number);
    const name = Buffer.from(place.path === "" ? "." : place.path, "latin1");
    if (name.length > MAX_PATH)
      throw cannotHold(FORM, place.path, `its path is longer than ${MAX_PATH} bytes`);
    if (inode.kind === "link") {
      output.write(cpioHeader(name, header, inode.target.length));
      output.write(Buffer.from(inode.target, "latin1"));
      output.write(cpioPadding(inode.target.length));
    } else if (inode.kind === "file" && first) {
      const { size } = inode.content;
      if (size > MAX_SIZE) throw cannotHold(FORM, place.path, `it has ${size} bytes, and 4 GiB is too large`);
      output.write(cpioHeader(name, header, size));
      const end = output.position + size;
      writePart(output, store, inode.content, 0, size);
      output.seek(end);
      output.write(cpioPadding(size));
    } else {
      output.write(cpioHeader(name, header, 0));
    }
  }
  output.write(CPIO_END);
}

function headerOf({ inode, links }: Place, number: number): CpioHeader {
  const isDevice = inode.kind === "character" || inode.kind === "block";
  return {
    inode: number,
    mode: modeOf(inode),
    uid: inode.uid,
    gid: inode.gid,
    links,
    mtime: Math.min(Math.max(inode.mtime.seconds, 0), 0xffff_ffff),
    major: isDevice ? inode.major : 0,
    minor: isDevice ? inode.minor : 0,
  };
}
