import { posix } from "node:path";
import { UruncError } from "../errors.ts";

/** Annotations by which an image says what it brings, of the bundle or of the image's own `/urunc.json`. */
export const IMAGE_PREFIX = "com.urunc.unikernel.";

/** Where the image has its annotations: Docker does not hand on those of its manifest. */
export const IMAGE_FILE = "/urunc.json";

/** Bytes of it at most, and of a path. */
export const IMAGE_FILE_MOST = 65_536;
const PATH_MOST = 4096;

/** What an image asks for; paths are the container's, absolute. */
export interface ImageWish {
  /** `linux`, where the image does not say. */
  readonly type: string;
  /** Of its framework; of Linux it says nothing. */
  readonly version?: string;
  /** Of a kernel that is the application. */
  readonly commandLine?: string;
  /** The monitor that it was made for. */
  readonly hypervisor?: string;
  /** Its kernel. */
  readonly kernel?: string;
  readonly initrd?: string;
  /** A file that is a file system, and where that belongs. */
  readonly block?: { readonly path: string; readonly mountPoint: string };
  /** The container's own root file system is the guest's. */
  readonly mountRootfs: boolean;
  /** And is given to it as a disk, where it is one. */
  readonly asksForDisk?: true;
  /** How it is to be started; undefined: as its kernel allows. */
  readonly boot?: "agent" | "direct";
}

/**
 * What an image asks for; undefined: nothing.
 *
 * A value may be in base64, as older tools write it. So one that is a word or a path as it stands is taken so, and else
 * what its base64 says.
 *
 * @param annotations the bundle's, which go before
 * @param file the text of `/urunc.json`, if there is one
 * @throws UruncError `bundle-invalid`: a file that is no JSON object of strings, a path that is none, a contradiction
 */
export function imageWish(annotations: Record<string, string>, file?: string): ImageWish | undefined {
  const values = new Map<string, string>();
  for (const source of [parseFile(file), annotations]) {
    for (const [key, value] of Object.entries(source)) {
      if (key.startsWith(IMAGE_PREFIX) && value !== "") values.set(key.slice(IMAGE_PREFIX.length), value);
    }
  }
  if (values.size === 0) return undefined;
  const word = (key: string) => textOf(values.get(key), /^[a-z][a-z0-9-]*$/i);
  const path = (key: string) => {
    const value = values.get(key);
    return value === undefined ? undefined : pathOf(key, value);
  };
  const text = (name: "commandLine" | "version", key: string) => {
    const value = textOf(values.get(key), /^[\x20-\x7e]+$/);
    return value === undefined ? {} : { [name]: value };
  };
  const [block, initrd, kernel, hypervisor] = [
    path("block"),
    path("initrd"),
    path("binary"),
    word("hypervisor"),
  ];
  const mountPoint = path("blkMntPoint");
  const mountRootfs = word("mountRootfs")?.toLowerCase() === "true";
  const useDMBlock = word("useDMBlock")?.toLowerCase() === "true";
  const wish: ImageWish = {
    type: word("unikernelType")?.toLowerCase() ?? "linux",
    ...text("version", "unikernelVersion"),
    ...text("commandLine", "cmdline"),
    ...(hypervisor === undefined ? {} : { hypervisor }),
    ...(kernel === undefined ? {} : { kernel }),
    ...(initrd === undefined ? {} : { initrd }),
    // Where it does not say, a block image is the root, unless that is the container's own.
    ...(block === undefined || (mountPoint === undefined && mountRootfs)
      ? {}
      : { block: { path: block, mountPoint: mountPoint ?? "/" } }),
    mountRootfs,
    ...(mountRootfs || useDMBlock ? { asksForDisk: true as const } : {}),
    ...bootOf(word("boot")),
  };
  refuseTwoRoots(wish);
  return wish;
}

/** Whether what the image brings is the guest's root, and not its own files: other guests than Linux have all in it. */
export function bringsRoot({ type, initrd, block }: ImageWish): boolean {
  return type !== "linux" || initrd !== undefined || block?.mountPoint === "/";
}

/** What is wished besides a root, where that comes from somebody else. */
export function withoutRoot(wish: ImageWish): ImageWish {
  const { initrd: _, block, ...rest } = wish;
  return block === undefined || block.mountPoint === "/" ? rest : { ...rest, block };
}

/** Where a kernel's configuration is. */
export function configPath(kernel: string): string {
  return posix.join(posix.dirname(kernel), "config");
}

function bootOf(value: string | undefined): Pick<ImageWish, "boot"> {
  if (value === undefined) return {};
  if (value === "agent" || value === "direct") return { boot: value };
  throw new UruncError(
    "bundle-invalid",
    `the image's annotation ${IMAGE_PREFIX}boot is ${JSON.stringify(value.slice(0, 40))}: it must be agent or direct`,
  );
}

function refuseTwoRoots({ block, initrd, mountRootfs }: ImageWish): void {
  const roots = [
    ...(block?.mountPoint === "/" ? ["block (with blkMntPoint=/)"] : []),
    ...(initrd === undefined ? [] : ["initrd"]),
    ...(mountRootfs ? ["mountRootfs=true"] : []),
  ];
  if (roots.length < 2) return;
  throw new UruncError(
    "bundle-invalid",
    `the image's annotations give ${roots.length} root file systems, ${roots.join(" and ")}: leave all but one away`,
  );
}

function parseFile(text: string | undefined): Record<string, string> {
  if (text === undefined) return {};
  if (text.length >= IMAGE_FILE_MOST) {
    throw new UruncError(
      "bundle-invalid",
      `the image's ${IMAGE_FILE} has ${IMAGE_FILE_MOST} bytes or more: annotations are shorter`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new UruncError("bundle-invalid", `the image's ${IMAGE_FILE} is not JSON: build the image again`, {
      cause,
    });
  }
  const isMap =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === "string");
  if (isMap) return value as Record<string, string>;
  throw new UruncError(
    "bundle-invalid",
    `the image's ${IMAGE_FILE} is not an object of strings: build the image again`,
  );
}

/** The value as it stands if that is what is expected, else its base64 if that is, else the value. */
function textOf(value: string | undefined, expected: RegExp): string | undefined {
  if (value === undefined) return undefined;
  const decoded = base64(value);
  // "qemu" is base64 too, of what is no text; "bGludXg=" is the word "linux", but hardly a word itself.
  if (decoded !== undefined && expected.test(decoded)) return decoded;
  return value;
}

function base64(value: string): string | undefined {
  if (value.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return undefined;
  const decoded = Buffer.from(value, "base64");
  if (decoded.toString("base64") !== value) return undefined;
  const text = decoded.toString("latin1");
  return /^[\x20-\x7e]+$/.test(text) ? text : undefined;
}

/** An absolute path of the container's. */
function pathOf(key: string, value: string): string {
  const path = value.startsWith("/") ? value : (textOf(value, /^(\/.*|[A-Za-z0-9._/-]+)$/) ?? value);
  const absolute = path.startsWith("/") ? path : `/${path}`;
  const clean = posix.normalize(absolute);
  if (/^[A-Za-z0-9._/-]+$/.test(path) && path.length <= PATH_MOST && (clean === absolute || clean === path)) {
    return clean;
  }
  throw new UruncError(
    "bundle-invalid",
    `the image's annotation ${IMAGE_PREFIX}${key} is ${JSON.stringify(path.slice(0, 100))}: it must be a path of at most ` +
      `${PATH_MOST} of the characters A-Z a-z 0-9 . _ - /, without "." and ".." in it`,
  );
}
