import { dlopen, type Pointer, ptr, read } from "bun:ffi";
import { UruncError } from "../../errors.ts";
import { type ByteString, shown } from "./tree.ts";

/** As long as Linux lets a list of names, and one value, be. */
const MAX_SIZE = 65_536;
const NOT_SUPPORTED = 95;
/** Labels of this machine's own security module, which mean nothing elsewhere. */
const LEFT_OUT: ReadonlySet<ByteString> = new Set(["security.selinux"]);

let library: ReturnType<typeof open> | undefined;
const buffer = Buffer.alloc(MAX_SIZE);

/**
 * The extended attributes of a file (xattr(7)), of a symbolic link itself.
 *
 * @param path absolute, as bytes
 * @throws UruncError `file-system` if they cannot be read; a file system that has none is no error
 */
export function readAttributes(path: Buffer): Map<ByteString, Uint8Array> {
  const found = new Map<ByteString, Uint8Array>();
  library ??= open();
  const file = Buffer.concat([path, Buffer.of(0)]);
  const length = Number(library.llistxattr(ptr(file), ptr(buffer), MAX_SIZE));
  if (length < 0) {
    if (errorNumber() === NOT_SUPPORTED) return found;
    throw unreadable(path);
  }
  const names = buffer.toString("latin1", 0, length).split("\0");
  for (const name of names) {
    if (name === "" || LEFT_OUT.has(name)) continue;
    const word = Buffer.from(`${name}\0`, "latin1");
    const size = Number(library.lgetxattr(ptr(file), ptr(word), ptr(buffer), MAX_SIZE));
    if (size < 0) throw unreadable(path);
    found.set(name, new Uint8Array(buffer.subarray(0, size)));
  }
  return found;
}

function errorNumber(): number {
  return read.i32(library?.__errno_location() as Pointer, 0);
}

function open() {
  return dlopen("libc.so.6", {
    llistxattr: { args: ["ptr", "ptr", "u64"], returns: "i64" },
    lgetxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i64" },
    __errno_location: { args: [], returns: "ptr" },
  }).symbols;
}

function unreadable(path: Buffer): UruncError {
  const where = shown(path.toString("latin1"));
  return new UruncError(
    "file-system",
    `cannot read the extended attributes of ${where}: see "getfattr -dm- ${where}"`,
  );
}
