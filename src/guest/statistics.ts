/** The guest's figures of a container, as its agent gives them (`docs/guest-protocol.md`, "Queries"). */
export interface GuestStatistics {
  /** Of cgroup v2's flat-keyed files. Names are the kernel's. */
  cpu: Record<string, number>;
  memory: Record<string, number>;
  memoryEvents: Record<string, number>;
  /** Bytes. */
  memoryCurrent: number;
  memoryPeak: number;
  /** Undefined: no limit but the machine's. */
  memoryMax?: number;
  pids: number;
  pidsMax?: number;
  io: { major: number; minor: number; fields: Record<string, number> }[];
  cpus: number[];
  mems: number[];
  interfaces: GuestInterface[];
}

export interface GuestInterface {
  name: string;
  received: InterfaceCounters;
  sent: InterfaceCounters;
}

export interface InterfaceCounters {
  bytes: number;
  packets: number;
  errors: number;
  dropped: number;
}

/** A list of processors or memory nodes is not longer. */
const LIST_MOST = 4096;

/** Reads the answer to the query `stats`. What is missing or malformed counts as nothing: it is the guest's own loss. */
export function parseStatistics(text: string): GuestStatistics {
  const files = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const blank = line.indexOf(" ");
    if (blank < 0) continue;
    const name = line.slice(0, blank);
    const file = files.get(name);
    if (file === undefined) files.set(name, [line.slice(blank + 1)]);
    else file.push(line.slice(blank + 1));
  }
  const lines = (name: string): string[] => files.get(name) ?? [];
  const first = (name: string): string => lines(name)[0] ?? "";
  const memoryMax = limit(first("memory.max"));
  const pidsMax = limit(first("pids.max"));
  return {
    cpu: keyed(lines("cpu.stat")),
    memory: keyed(lines("memory.stat")),
    memoryEvents: keyed(lines("memory.events")),
    memoryCurrent: number(first("memory.current")),
    memoryPeak: number(first("memory.peak")),
    ...(memoryMax === undefined ? {} : { memoryMax }),
    pids: number(first("pids.current")),
    ...(pidsMax === undefined ? {} : { pidsMax }),
    io: lines("io.stat").flatMap(device),
    cpus: list(first("cpuset.cpus.effective")),
    mems: list(first("cpuset.mems.effective")),
    interfaces: lines("net/dev").flatMap(networkInterface),
  };
}

/** As a reader of JSON can take it for a whole number, whatever the guest claims. */
function number(text: string): number {
  return /^\d+$/.test(text) ? Math.min(Number(text), Number.MAX_SAFE_INTEGER) : 0;
}

function limit(text: string): number | undefined {
  return /^\d+$/.test(text) ? number(text) : undefined;
}

function keyed(lines: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    lines.flatMap((line) => {
      const [, key, value] = /^([a-z][a-z0-9_.]{0,63}) (\d+)$/.exec(line) ?? [];
      return key === undefined || value === undefined ? [] : [[key, number(value)]];
    }),
  );
}

/** `MAJOR:MINOR KEY=VALUE …` */
function device(line: string): GuestStatistics["io"] {
  const [, major, minor, rest] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
  if (major === undefined || minor === undefined || rest === undefined) return [];
  const fields = keyed(rest.split(" ").map((field) => field.replace("=", " ")));
  return [{ major: number(major), minor: number(minor), fields }];
}

/** `0-3,5` */
function list(text: string): number[] {
  const numbers: number[] = [];
  for (const range of text.split(",")) {
    const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range) ?? [];
    if (first === undefined) continue;
    for (let at = number(first); at <= number(last ?? first) && numbers.length < LIST_MOST; at++)
      numbers.push(at);
  }
  return numbers;
}

/** A line of `/proc/net/dev`: eight counters of what was received, eight of what was sent. Its headings are none. */
function networkInterface(line: string): GuestInterface[] {
  // Blanks only in one place: two that could share them would be tried in every way.
  const [, name, rest] = /^\s*([!-~]{1,15}):([\d\s]+)$/.exec(line) ?? [];
  const counters = (rest ?? "").trim().split(/\s+/).map(number);
  if (name === undefined || name === "lo" || counters.length < 16) return [];
  const at = (index: number): InterfaceCounters => {
    const [bytes = 0, packets = 0, errors = 0, dropped = 0] = counters.slice(index);
    return { bytes, packets, errors, dropped };
  };
  return [{ name, received: at(0), sent: at(8) }];
}
