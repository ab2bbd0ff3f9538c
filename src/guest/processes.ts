import { UruncError } from "../errors.ts";

/** A process of the container, as the guest's agent describes it (`docs/guest-protocol.md`, "Queries"). */
export interface GuestProcess {
  /** These four are of the container's PID namespace; 0: of none of its. */
  pid: number;
  parent: number;
  group: number;
  session: number;
  realUser: number;
  user: number;
  realGroup: number;
  userGroup: number;
  /** A device number as the kernel encodes it; 0: no terminal. */
  terminal: number;
  foreground: boolean;
  state: string;
  threads: number;
  priority: number;
  nice: number;
  /** Seconds since the guest's boot. */
  start: number;
  /** Seconds. */
  userTime: number;
  systemTime: number;
  /** KiB. */
  size: number;
  resident: number;
  processor: number;
  /** What it waits in, or `-`. */
  place: string;
  name: string;
  /** With blanks between them; empty if it has none. */
  args: string;
}

/** All processes of a container, and what their figures are measured by. */
export interface GuestProcesses {
  /** Seconds since the guest's boot. */
  uptime: number;
  /** Seconds since 1970, by the guest's clock. */
  now: number;
  /** The machine's memory, KiB. */
  memory: number;
  processes: GuestProcess[];
}

const FIELDS = 23;

/**
 * Reads the answer to the query `ps`. What it gives steers no terminal: of texts, all that is not printable is `?`.
 *
 * @throws UruncError `guest`: it is none
 */
export function parseProcesses(text: string): GuestProcesses {
  const [clock = "", ...lines] = text.split("\n");
  const [, uptime, hz, now, memory] =
    /^clock (\d{1,12}(?:\.\d+)?) (\d{1,5}) (\d{1,12}) (\d{1,15})$/.exec(clock) ?? [];
  if (!Number(uptime) || !Number(hz) || !Number(memory)) throw malformed();
  return {
    uptime: Number(uptime),
    now: Number(now),
    memory: Number(memory),
    processes: lines.filter((line) => line !== "").map((line) => parseProcess(line, Number(hz))),
  };
}

function parseProcess(line: string, hz: number): GuestProcess {
  const fields = line.split("\t");
  const number = (index: number): number => {
    const field = fields[index] ?? "";
    if (!/^-?\d{1,20}$/.test(field)) throw malformed();
    return Number(field);
  };
  const state = fields[10] ?? "";
  if (fields.length !== FIELDS || !/^[A-Za-z?]$/.test(state)) throw malformed();
  return {
    pid: number(0),
    parent: number(1),
    group: number(2),
    session: number(3),
    realUser: number(4),
    user: number(5),
    realGroup: number(6),
    userGroup: number(7),
    terminal: number(8),
    foreground: number(9) === 1,
    state,
    threads: number(11),
    priority: number(12),
    nice: number(13),
    start: number(14) / hz,
    userTime: number(15) / hz,
    systemTime: number(16) / hz,
    size: number(17),
    resident: number(18),
    processor: number(19),
    place: text(fields[20] ?? ""),
    name: text(fields[21] ?? ""),
    args: text(withoutEnds(fields[22] ?? "").replaceAll("\\x00", " ")),
  };
}

/** Without the NULs at its end. A regular expression would try each of those inside, too, and all that follow it. */
function withoutEnds(field: string): string {
  let end = field.length;
  while (field.endsWith("\\x00", end)) end -= 4;
  return field.slice(0, end);
}

function text(field: string): string {
  return field
    .replace(/\\x([0-9a-f]{2})/g, (_, hex) => (hex === "5c" ? "\\" : "?"))
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

function malformed(): UruncError {
  return new UruncError("guest", "the virtual machine's list of processes is malformed");
}
