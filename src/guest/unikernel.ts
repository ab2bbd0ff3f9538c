import { UruncError } from "../errors.ts";
import type { Unikernel } from "../rootfs/unikernel.ts";
import { COMMAND_LINE_MOST, type DirectAddress, formatAddress, maskOf } from "./direct.ts";

/** What is written where Docker wants a command and the image has none: the image's own command line is meant. */
const NO_COMMAND = "unikernel";

/** The release of Unikraft from which on an interface's whole address is one word. */
const ONE_WORD = [0, 16, 1];

export interface UnikernelContainer extends Unikernel {
  /** The container's command. */
  readonly args: readonly string[];
  readonly address?: DirectAddress | undefined;
  readonly hasInitrd: boolean;
}

/**
 * The command line of a unikernel, by the convention of its framework, as words.
 *
 * @throws UruncError `not-supported`: it cannot say that
 */
export function unikernelWords(container: UnikernelContainer): string[] {
  const words = container.type === "mewz" ? mewzWords(container) : unikraftWords(container);
  const length = Buffer.byteLength(words.join(" "));
  if (length <= COMMAND_LINE_MOST) return words;
  throw new UruncError(
    "not-supported",
    `the unikernel's command line would have ${length} bytes, and there is room for ${COMMAND_LINE_MOST}: shorten the command`,
  );
}

function mewzWords({ address, commandLine }: UnikernelContainer): string[] {
  return [
    ...(address === undefined ? [] : [`ip=${address.address}/${address.prefixLength}`]),
    ...(address?.gateway === undefined ? [] : [`gateway=${address.gateway}`]),
    // It has no arguments, so that the container's command says nothing.
    ...(commandLine === undefined ? [] : [commandLine]),
  ];
}

/** Its libraries' parameters, and behind the dashes the application's own words. */
function unikraftWords(container: UnikernelContainer): string[] {
  const { address, hasInitrd, version } = container;
  const isOld = version !== undefined && isBefore(version, ONE_WORD);
  const root = isOld ? "vfs.rootfs=initrd" : 'vfs.fstab=[ "initrd0:/:extract::ramfs=1:" ]';
  return [
    ...(address === undefined ? [] : isOld ? threeWords(address) : [oneWord(address)]),
    ...(hasInitrd ? [root] : []),
    "--",
    ...command(container),
  ];
}

function oneWord({ address, prefixLength, gateway }: DirectAddress): string {
  return `netdev.ip=${address}/${prefixLength}:${gateway ?? ""}:::`;
}

function threeWords({ address, prefixLength, gateway }: DirectAddress): string[] {
  return [
    `netdev.ipv4_addr=${address}`,
    ...(gateway === undefined ? [] : [`netdev.ipv4_gw_addr=${gateway}`]),
    `netdev.ipv4_subnet_mask=${formatAddress(maskOf(prefixLength))}`,
  ];
}

function command({ args, commandLine }: UnikernelContainer): string[] {
  if (commandLine !== undefined && args.length === 1 && args[0] === NO_COMMAND) return [commandLine];
  return args.map((argument) => {
    if (argument !== "" && !/[\s"]/.test(argument)) return argument;
    if (!/["\n]/.test(argument)) return `"${argument}"`;
    throw new UruncError(
      "not-supported",
      `the argument ${JSON.stringify(argument.slice(0, 100))} cannot be on a unikernel's command line: ` +
        "leave its quotes and newlines away",
    );
  });
}

function isBefore(version: string, other: readonly number[]): boolean {
  const parts = version
    .replace(/^v/, "")
    .split(".")
    .map((part) => Number.parseInt(part, 10) || 0);
  const at = other.findIndex((part, index) => (parts[index] ?? 0) !== part);
  return at >= 0 && (parts[at] ?? 0) < (other[at] ?? 0);
}
