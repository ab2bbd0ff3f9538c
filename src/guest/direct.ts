import { UruncError } from "../errors.ts";
import type { Process } from "../oci/runtime-spec.ts";
import { joinQuoted } from "../rootfs/application.ts";
import { asBytes, hasBlank, kernelWords } from "./kernel-words.ts";

/** Bytes of a command line that x86 keeps (`COMMAND_LINE_SIZE`), without its end. */
export const COMMAND_LINE_MOST = 2047;

/** Linux's `CONFIG_INIT_ENV_ARG_LIMIT`; of the variables it sets two itself, HOME and TERM. */
const INIT_ARGUMENTS_MOST = 32;
const INIT_VARIABLES_MOST = 30;

/** Where urunit finds its configuration: a file of the initrd, or the initrd itself (Linux 6.8). */
const FILE_IN_INITRD = "/urunit.conf";
const INITRD_ITSELF = "/sys/firmware/initrd";

/** As `-fsdev` and virtiofs show the root to the guest. */
export const DIRECT_TAG = "fs0";

const ROOTS = {
  block: "root=/dev/vda",
  initrd: "root=/dev/ram0",
  "9p": `root=${DIRECT_TAG}`,
  virtiofs: `root=${DIRECT_TAG}`,
} as const;

const ROOT_TYPES = {
  block: [],
  initrd: [],
  "9p": ["rootfstype=9p", "rootflags=trans=virtio,version=9p2000.L,msize=5000000,cache=mmap,posixacl"],
  virtiofs: ["rootfstype=virtiofs"],
} as const;

/** What the kernel's command line has to say of a container. */
export interface DirectContainer {
  readonly process: Process;
  readonly hostname: string;
  readonly root: keyof typeof ROOTS;
  readonly readOnly: boolean;
  /** Undefined: the guest has no network, or none of IPv4. */
  readonly address?: DirectAddress | undefined;
  /** A disk besides the root, by its serial. */
  readonly volume?: { readonly serial: string; readonly mountPoint: string } | undefined;
}

/** IPv4, as text. */
export interface DirectAddress {
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway?: string | undefined;
  /** The kernel's own name of the device. */
  readonly device: string;
}

export interface DirectBoot {
  /** Words of the command line, behind those that the machine needs. */
  readonly words: readonly string[];
  /** The text of urunit's configuration: to be added to the initrd that is the root, and else to be the initrd. */
  readonly configuration?: string;
}

/**
 * Plans the start of a container whose kernel gets everything by its command line (`docs/direct.md`).
 *
 * @throws UruncError `not-supported`: what a command line cannot say
 */
export function planDirect(container: DirectContainer): DirectBoot {
  const { process, root } = container;
  const [init = "", ...args] = process.args;
  refuseInit(init);
  const hasUrunit = init.includes("urunit");
  if (container.volume !== undefined && !hasUrunit) {
    throw unable(
      `without urunit as its first word nobody mounts the image's block image at ${container.volume.mountPoint}`,
    );
  }
  const rest = args.map((argument) => quoteArgument(argument, hasUrunit));
  refuseTooMany(rest);
  const given = hasUrunit ? configured(container) : { words: bareEnvironment(container) };
  return {
    ...("configuration" in given ? { configuration: given.configuration } : {}),
    words: [
      ROOTS[root],
      container.readOnly ? "ro" : "rw",
      ...ROOT_TYPES[root],
      ...addressWords(container),
      ...given.words,
      `${root === "initrd" ? "rdinit" : "init"}=${init}`,
      "--",
      ...rest,
    ],
  };
}

/**
 * @returns the line
 * @throws UruncError `not-supported`: it is longer than the kernel keeps
 */
export function directCommandLine(words: readonly string[]): string {
  const line = words.join(" ");
  const length = Buffer.byteLength(line);
  if (length <= COMMAND_LINE_MOST) return line;
  throw unable(
    `the kernel's command line would have ${length} bytes, and the kernel keeps ${COMMAND_LINE_MOST} of them`,
  );
}

function refuseInit(init: string): void {
  if (/^\/[^\s"']*$/.test(init) && init !== "/") return;
  throw unable(
    `the kernel starts ${JSON.stringify(init.slice(0, 100))}, which must be an absolute path without blanks and quotes`,
  );
}

/**
 * An argument as it stands on the line. Several words are in single quotes for urunit, which joins them again; whatever
 * that would change is in the kernel's own double quotes.
 */
function quoteArgument(argument: string, hasUrunit: boolean): string {
  const bytes = asBytes(argument);
  const single = `'${bytes}'`;
  const double = `"${bytes}"`;
  const arrives = (line: string) => isExactly(kernelWords(line), bytes);
  const isJoined = (line: string) => hasUrunit && isExactly(joinQuoted(kernelWords(line)), bytes);
  // A second one of these would end the list.
  if (argument !== "--") {
    if (argument !== "" && !hasBlank(bytes) && arrives(bytes)) return argument;
    if (hasBlank(bytes) && isJoined(single)) return `'${argument}'`;
    if (arrives(double)) return `"${argument}"`;
  } else if (hasUrunit) return `'${argument}'`;
  throw unable(`the argument ${JSON.stringify(argument.slice(0, 100))} cannot be on a kernel's command line`);
}

function isExactly(words: readonly string[], wanted: string): boolean {
  return words.length === 1 && words[0] === wanted;
}

function refuseTooMany(rest: readonly string[]): void {
  const count = kernelWords(asBytes(rest.join(" "))).length;
  if (count <= INIT_ARGUMENTS_MOST) return;
  throw unable(
    `the command has ${count} words behind its first, and a kernel takes ${INIT_ARGUMENTS_MOST} of them`,
  );
}

function addressWords({ address, hostname }: DirectContainer): string[] {
  if (address === undefined) return [];
  const { gateway, device } = address;
  const mask = maskOf(address.prefixLength);
  // Others than these would be taken for something else.
  const name = /^[A-Za-z0-9.-]{1,64}$/.test(hostname) ? hostname : "urunc";
  const words = [`ip=${address.address}::${gateway ?? ""}:${formatAddress(mask)}:${name}:${device}:off`];
  const isOutside =
    gateway !== undefined && ((parseAddress(gateway) ^ parseAddress(address.address)) & mask) !== 0;
  return isOutside ? [...words, "URUNIT_DEFROUTE=1"] : words;
}

export function maskOf(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (-1 << (32 - prefixLength)) >>> 0;
}

function parseAddress(text: string): number {
  return text.split(".").reduce((value, part) => ((value << 8) | Number(part)) >>> 0, 0);
}

export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");
}

/** Names that the kernel takes for its own, of those that this line has. */
const KERNEL_NAMES =
  /^(root|rootfstype|rootflags|init|rdinit|console|ip|panic|quiet|ro|rw|mem|retain_initrd)$/;

/** Of an init that is not urunit: the kernel starts it as root in `/`, with variables of the command line. */
function bareEnvironment({ process }: DirectContainer): string[] {
  const { user, cwd, env = [] } = process;
  if (user.uid !== 0 || user.gid !== 0 || cwd !== "/") {
    throw unable(
      `without urunit as its first word the command runs as root in "/", and not as ${user.uid}:${user.gid} in ${JSON.stringify(cwd)}`,
    );
  }
  if (env.length > INIT_VARIABLES_MOST) {
    throw unable(
      `the container has ${env.length} environment variables, and a kernel takes ${INIT_VARIABLES_MOST} of them`,
    );
  }
  return env.map((variable) => {
    const [, name = "", value = ""] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(variable) ?? [];
    const forms = [variable, `${name}="${value}"`];
    const form = forms.find((word) => isExactly(kernelWords(asBytes(word)), asBytes(variable)));
    if (name !== "" && form !== undefined && !KERNEL_NAMES.test(name)) return form;
    throw unable(
      `the environment variable ${JSON.stringify(variable.slice(0, 100))} cannot be on a kernel's command line`,
    );
  });
}

function configured({ process, root, volume }: DirectContainer): { words: string[]; configuration: string } {
  const { user, cwd, env = [], rlimits = [] } = process;
  const lines = [
    "UES",
    ...env,
    "UEE",
    "UCS",
    `UID:${user.uid}`,
    `GID:${user.gid}`,
    `WD:${cwd}`,
    ...rlimits.map(({ type, soft, hard }) => `RLIMIT:${type}:${limit(soft)}:${limit(hard)}`),
    "UCE",
    ...(volume === undefined ? [] : ["UBS", `ID:${volume.serial}`, `MP:${volume.mountPoint}`, "UBE"]),
  ];
  const wrong = lines.find((line) => line.includes("\n"));
  // It would be taken for what it is not: a line of its own, or a section's end.
  if (wrong !== undefined) {
    throw unable(
      `${JSON.stringify(wrong.slice(0, 100))} has several lines, and urunit's configuration has one each`,
    );
  }
  const words =
    root === "initrd"
      ? [`URUNIT_CONFIG=${FILE_IN_INITRD}`]
      : ["retain_initrd", `URUNIT_CONFIG=${INITRD_ITSELF}`];
  return { words, configuration: `${lines.join("\n")}\n` };
}

/** In full: a large one is a float in JavaScript, and a negative one means none. */
function limit(value: number): string {
  return (value < 0 || value >= 2 ** 64 ? 2n ** 64n - 1n : BigInt(value)).toString();
}

function unable(sentence: string): UruncError {
  return new UruncError(
    "not-supported",
    `${sentence}: leave com.urunc.unikernel.binary away, so that our kernel and its agent run the image, whose command ` +
      "has no such limits",
  );
}
