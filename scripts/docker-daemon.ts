// Docker's settings: telling them about the runtime without losing anything that is in them.
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

/** Where Docker reads its settings. */
export const DAEMON_FILE = "/etc/docker/daemon.json";

/** What makes a running Docker read them again. */
export const RELOAD_COMMANDS = "systemctl reload docker, or without systemd: kill -HUP $(pidof dockerd)";

/** The settings with the runtime in them, or why they are left as they are. */
export type Registration =
  | { readonly kind: "changed"; readonly text: string }
  | { readonly kind: "unchanged" }
  /** One sentence. */
  | { readonly kind: "refused"; readonly reason: string };

type JsonObject = Record<string, unknown>;

/** A member of an object in a JSON text: where its name begins and its value ends. */
interface Member {
  readonly name: string;
  readonly start: number;
  readonly value: number;
  readonly end: number;
}

/** An object in a JSON text: the place of its opening brace, and what is in it. */
interface Members {
  readonly open: number;
  readonly close: number;
  readonly members: readonly Member[];
}

/**
 * Adds `.runtimes.urunc.path` to the text of a `daemon.json`; every other byte stays. The text is edited in place,
 * since parsing and printing it again would change numbers, the order of some keys, and how it is laid out.
 */
export function registerRuntime(text: string, program: string): Registration {
  if (text.trim() === "") return { kind: "changed", text: `${newSettings(program)}\n` };
  let settings: unknown;
  try {
    settings = JSON.parse(text);
  } catch (cause) {
    return refused(`it is not valid JSON (${(cause as Error).message}); correct it first`);
  }
  if (!isObject(settings)) return refused("it is not a JSON object; correct it first");
  return addRuntime(text, program);
}

/** What to write where there are no settings yet, and what to add where there are. */
export function newSettings(program: string): string {
  return JSON.stringify({ runtimes: { urunc: { path: program } } }, undefined, 2);
}

/** What `registerInFile` would do. */
export function previewRegistration(file: string, program: string): Registration {
  try {
    return registerRuntime(readSettings(file), program);
  } catch (cause) {
    return refused((cause as Error).message);
  }
}

/**
 * Registers the runtime in the file. It is replaced in one go, where a link leads if it is one, with the mode and
 * owner that it has; what it was before the first change is kept beside it.
 */
export function registerInFile(file: string, program: string): Registration {
  const registration = previewRegistration(file, program);
  if (registration.kind !== "changed") return registration;
  try {
    replace(file, registration.text);
    return registration;
  } catch (cause) {
    return refused((cause as Error).message);
  }
}

function readSettings(file: string): string {
  const target = targetOf(file);
  if (target === undefined) return "";
  // Bytes that are no text would not be the same when written again.
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(target));
}

/** The file itself or where its links lead; undefined if there is none. */
function targetOf(file: string): string | undefined {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return undefined;
  // A link that leads nowhere is an error: whoever made it means something by it.
  return realpathSync(file);
}

function replace(file: string, text: string): void {
  const target = targetOf(file);
  const path = target ?? file;
  const temporary = `${path}.urunc-new`;
  const before = target === undefined ? undefined : statSync(target);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  if (target !== undefined) keepOnce(target, `${file}.urunc-backup`);
  try {
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { mode: 0o600, flag: "wx", flush: true });
    if (before !== undefined) chownSync(temporary, before.uid, before.gid);
    chmodSync(temporary, before === undefined ? 0o644 : before.mode & 0o7777);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** The first copy stays: later ones would be of what was changed already. */
function keepOnce(from: string, to: string): void {
  if (lstatSync(to, { throwIfNoEntry: false }) !== undefined) return;
  const { uid, gid, mode } = statSync(from);
  copyFileSync(from, to, constants.COPYFILE_EXCL);
  chownSync(to, uid, gid);
  chmodSync(to, mode & 0o7777);
}

function addRuntime(text: string, program: string): Registration {
  const top = membersOf(text, skipSpace(text, 0));
  const indent = indentOf(text, top) ?? "  ";
  const runtimes = only(top, "runtimes");
  if (runtimes === "twice") return refused('it has "runtimes" twice; make one of them');
  if (runtimes === undefined) return changed(text, top, "runtimes", { urunc: { path: program } }, indent);
  if (text[runtimes.value] !== "{") return refused('its "runtimes" is not an object; correct it first');
  const all = membersOf(text, runtimes.value);
  const urunc = only(all, "urunc");
  if (urunc === "twice") return refused('its "runtimes" has "urunc" twice; make one of them');
  if (urunc === undefined) return changed(text, all, "urunc", { path: program }, indent);
  const valueText = text.slice(urunc.value, urunc.end);
  const value: unknown = JSON.parse(valueText);
  if (!isObject(value)) return refused('its "runtimes.urunc" is not an object; correct it first');
  if (value["path"] === program) return { kind: "unchanged" };
  // Docker takes a path or a containerd runtime's name, not both.
  if ("path" in value || "runtimeType" in value) {
    return refused(
      `its "runtimes.urunc" is already ${JSON.stringify(value)}; ` +
        `if that is not wanted any more, remove it or make its path ${JSON.stringify(program)}`,
    );
  }
  return changed(text, membersOf(text, urunc.value), "path", program, indent);
}

function only(object: Members, name: string): Member | "twice" | undefined {
  const found = object.members.filter((member) => member.name === name);
  return found.length > 1 ? "twice" : found[0];
}

/** Adds a member behind the last one, laid out as that is. */
function changed(text: string, object: Members, name: string, value: unknown, indent: string): Registration {
  const last = object.members.at(-1);
  const before = last === undefined ? undefined : spaceBefore(text, last.start);
  const margin = lineMargin(text, object.open);
  const separator = before ?? `${lineEnd(text)}${margin}${indent}`;
  const printed = JSON.stringify(value, undefined, separator.includes("\n") ? indent : undefined)
    // Its further lines begin where its first one does.
    .replaceAll("\n", lineEnd(text) + separator.slice(separator.lastIndexOf("\n") + 1));
  const member = `${separator}${JSON.stringify(name)}: ${printed}`;
  const added =
    last === undefined
      ? text.slice(0, object.open + 1) + member + lineEnd(text) + margin + text.slice(object.close)
      : `${text.slice(0, last.end)},${member}${text.slice(last.end)}`;
  return { kind: "changed", text: added };
}

/** How far the members of the outermost object stand to the right; undefined if they share a line. */
function indentOf(text: string, top: Members): string | undefined {
  const first = top.members[0];
  const space = first === undefined ? "" : spaceBefore(text, first.start);
  return space.includes("\n") ? space.slice(space.lastIndexOf("\n") + 1) : undefined;
}

function spaceBefore(text: string, at: number): string {
  return /[ \t\r\n]*$/.exec(text.slice(0, at))?.[0] ?? "";
}

/** What the line begins with in which a place is. */
function lineMargin(text: string, at: number): string {
  const line = text.slice(text.lastIndexOf("\n", at) + 1, at + 1);
  return /^[ \t]*/.exec(line)?.[0] ?? "";
}

function lineEnd(text: string): string {
  return text.includes("\r\n") ? "\r\n" : "\n";
}

/** Reads the object whose brace is at `open`. The text is known to be JSON: only its tokens are told apart. */
function membersOf(text: string, open: number): Members {
  const members: Member[] = [];
  let at = skipSpace(text, open + 1);
  while (text[at] !== "}") {
    const start = at;
    const nameEnd = valueEnd(text, start);
    const value = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = valueEnd(text, value);
    members.push({ name: JSON.parse(text.slice(start, nameEnd)) as string, start, value, end });
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return { open, close: at, members };
}

/** Behind the value that begins at `at`. */
function valueEnd(text: string, at: number): number {
  const token = /"(?:[^"\\]|\\.)*"|[[\]{}]|[^\s"[\]{},:]+|[\s,:]+/gy;
  token.lastIndex = at;
  let depth = 0;
  do {
    const found = token.exec(text)?.[0];
    if (found === undefined) throw new Error("the end of a JSON value is not found");
    if (found === "{" || found === "[") depth++;
    if (found === "}" || found === "]") depth--;
  } while (depth > 0);
  return token.lastIndex;
}

function skipSpace(text: string, at: number): number {
  let next = at;
  while (/[ \t\r\n]/.test(text[next] ?? "")) next++;
  return next;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(reason: string): Registration {
  return { kind: "refused", reason };
}
