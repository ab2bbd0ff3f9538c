import type { IpFamily } from "./guest-network.ts";

/** The six bytes of `xx:xx:xx:xx:xx:xx`, or undefined if it is none. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

/** An address as 4 or 16 bytes in network order, or undefined if the text is not one of that family. */
export function parseAddress(family: IpFamily, text: string): Uint8Array | undefined {
  return family === 4 ? parseIpv4(text) : parseIpv6(text);
}

/** The six bytes of a MAC that was checked when it was read; throws RangeError for any other text. */
export function macBytes(text: string): Uint8Array {
  const bytes = parseMac(text);
  if (bytes === undefined) throw new RangeError(`not a MAC address: ${text}`);
  return bytes;
}

/**
 * An address as the guest protocol's 16 bytes (IPv4 in the first four, the rest zero). The text was checked
 * when it was read; throws RangeError for any other.
 */
export function addressBytes(family: IpFamily, text: string): Uint8Array {
  const bytes = parseAddress(family, text);
  if (bytes === undefined) throw new RangeError(`not an IPv${family} address: ${text}`);
  const padded = new Uint8Array(16);
  padded.set(bytes);
  return padded;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[index] = Number(part);
  }
  return bytes;
}

/** RFC 4291, section 2.2, all three forms. */
function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

/** The bytes of groups between colons; an IPv4 address may stand at the very end of an IPv6 one. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    if (atEnd && index === groups.length - 1 && group.includes(".")) {
      const last = parseIpv4(group);
      if (last === undefined) return undefined;
      bytes.push(...last);
    } else if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else {
      return undefined;
    }
  }
  return bytes;
}
