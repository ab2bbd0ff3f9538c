import type { GuestProcess, GuestProcesses } from "../guest/processes.ts";

/** One column of `ps`: as procps has it, whose manual page describes the names. */
export interface Column {
  header: string;
  align: "left" | "right";
  width: number;
  value: (process: GuestProcess, all: GuestProcesses) => string;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = 86_400;

/** The columns by the names that `-o` takes. */
export const COLUMNS: Readonly<Record<string, Column>> = {
  ...each(
    ["pid", "tgid"],
    right("PID", 5, ({ pid }) => String(pid)),
  ),
  ppid: right("PPID", 5, ({ parent }) => String(parent)),
  ...each(
    ["pgid", "pgrp"],
    right("PGID", 5, ({ group }) => String(group)),
  ),
  ...each(
    ["sid", "sess", "session"],
    right("SID", 5, ({ session }) => String(session)),
  ),
  ...each(
    ["uid", "euid"],
    right("UID", 5, ({ user }) => String(user)),
  ),
  ruid: right("RUID", 5, ({ realUser }) => String(realUser)),
  ...each(
    ["user", "euser", "uname"],
    left("USER", 8, ({ user }) => identity(user)),
  ),
  ruser: left("RUSER", 8, ({ realUser }) => identity(realUser)),
  ...each(
    ["gid", "egid"],
    right("GID", 5, ({ userGroup }) => String(userGroup)),
  ),
  rgid: right("RGID", 5, ({ realGroup }) => String(realGroup)),
  ...each(
    ["group", "egroup"],
    left("GROUP", 8, ({ userGroup }) => identity(userGroup)),
  ),
  rgroup: left("RGROUP", 8, ({ realGroup }) => identity(realGroup)),
  ...each(
    ["tty", "tt", "tname"],
    left("TTY", 8, ({ terminal }) => terminalName(terminal)),
  ),
  stat: left("STAT", 4, status),
  ...each(
    ["state", "s"],
    left("S", 1, ({ state }) => state),
  ),
  ...each(
    ["time", "cputime"],
    right("TIME", 8, (process) => longTime(cpuTime(process))),
  ),
  bsdtime: right("TIME", 6, (process) => shortTime(cpuTime(process))),
  etime: right("ELAPSED", 11, (process, all) => elapsedTime(elapsed(process, all))),
  etimes: right("ELAPSED", 7, (process, all) => String(Math.floor(elapsed(process, all)))),
  start: right("STARTED", 8, (process, all) => started(process, all, "seconds")),
  ...each(
    ["stime", "start_time"],
    left("STIME", 5, (process, all) => started(process, all, "day")),
  ),
  bsdstart: left("START", 6, (process, all) => started(process, all, "minutes")),
  cmd: left("CMD", 1, commandLine),
  ...each(["args", "command"], left("COMMAND", 1, commandLine)),
  ...each(["comm", "ucmd", "ucomm"], left("COMMAND", 15, commandName)),
  c: right("C", 2, (process, all) => String(Math.min(99, Math.floor(share(process, all))))),
  ...each(
    ["pcpu", "%cpu"],
    right("%CPU", 4, (process, all) => share(process, all).toFixed(1)),
  ),
  ...each(
    ["pmem", "%mem"],
    right("%MEM", 4, ({ resident }, { memory }) => Math.min(99.9, (resident / memory) * 100).toFixed(1)),
  ),
  ...each(
    ["vsz", "vsize"],
    right("VSZ", 6, ({ size }) => String(size)),
  ),
  ...each(
    ["rss", "rssize", "rsz"],
    right("RSS", 5, ({ resident }) => String(resident)),
  ),
  ...each(
    ["nice", "ni"],
    right("NI", 3, ({ nice }) => String(nice)),
  ),
  pri: right("PRI", 3, ({ priority }) => String(39 - priority)),
  ...each(
    ["nlwp", "thcount"],
    right("NLWP", 4, ({ threads }) => String(threads)),
  ),
  psr: right("PSR", 3, ({ processor }) => String(processor)),
  wchan: left("WCHAN", 6, ({ place }) => place),
};

function left(header: string, width: number, value: Column["value"]): Column {
  return { header, align: "left", width, value };
}

function right(header: string, width: number, value: Column["value"]): Column {
  return { header, align: "right", width, value };
}

/** The same column by several names. */
function each(names: readonly string[], column: Column): Record<string, Column> {
  return Object.fromEntries(names.map((name) => [name, column]));
}

/** Which names the users and groups of a guest have, its files say, and those are the container's. */
function identity(id: number): string {
  return id === 0 ? "root" : String(id);
}

/** The kernel's `new_encode_dev`; 136 to 143 are pseudo terminals. */
function terminalName(device: number): string {
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return major === 5 && minor === 1 ? "console" : "?";
}

function status({ state, nice, session, pid, threads, foreground, terminal }: GuestProcess): string {
  return [
    state,
    nice < 0 ? "<" : nice > 0 ? "N" : "",
    session === pid ? "s" : "",
    threads > 1 ? "l" : "",
    foreground && terminal !== 0 ? "+" : "",
  ].join("");
}

function cpuTime({ userTime, systemTime }: GuestProcess): number {
  return Math.floor(userTime + systemTime);
}

function elapsed({ start }: GuestProcess, { uptime }: GuestProcesses): number {
  return Math.max(0, uptime - start);
}

/** Percent of one processor, of the time since its start. */
function share(process: GuestProcess, all: GuestProcesses): number {
  const seconds = elapsed(process, all);
  const used = process.userTime + process.systemTime;
  return seconds > 0 ? Math.min(999.9, (used / seconds) * 100) : 0;
}

const two = (number: number): string => String(number).padStart(2, "0");

/** `[DD-]hh:mm:ss` */
function longTime(seconds: number): string {
  const days = Math.floor(seconds / DAY);
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60]
    .map(two)
    .join(":");
  return days > 0 ? `${two(days)}-${clock}` : clock;
}

/** `m:ss` */
function shortTime(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
}

/** `[[DD-]hh:]mm:ss` */
function elapsedTime(seconds: number): string {
  const whole = Math.floor(seconds);
  return whole < 3600 ? longTime(whole).slice(3) : longTime(whole);
}

/** In the host's time zone: the time of day of what is recent, else the day or the year. */
function started(
  { start }: GuestProcess,
  { now, uptime }: GuestProcesses,
  precision: "seconds" | "minutes" | "day",
): string {
  const date = new Date((now - uptime + start) * 1000);
  const today = new Date(now * 1000);
  if (Number.isNaN(date.getTime()) || Number.isNaN(today.getTime())) return "-";
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two);
  const month = MONTHS[date.getMonth()] ?? "";
  if (precision === "day") {
    if (date.toDateString() === today.toDateString()) return clock.slice(0, 2).join(":");
    return date.getFullYear() === today.getFullYear()
      ? `${month}${two(date.getDate())}`
      : String(date.getFullYear());
  }
  const recent = now - date.getTime() / 1000 < DAY;
  if (precision === "seconds") return recent ? clock.join(":") : `${month} ${two(date.getDate())}`;
  return recent ? clock.slice(0, 2).join(":") : `${month}${two(date.getDate())}`;
}

function commandLine(process: GuestProcess): string {
  if (process.args !== "") return process.args;
  return `[${process.name}]${process.state === "Z" ? " <defunct>" : ""}`;
}

function commandName({ name, state }: GuestProcess): string {
  return state === "Z" ? `${name} <defunct>` : name;
}
