import { chmodSync, writeFileSync } from "node:fs";

/** Words that rows are made of. */

export const sh = (script: string) => ["sh", "-c", script];

export const bash = (script: string) => ["bash", "-c", script];

export const asUser = ["-u", "1000"];

export const probe = ["-v", "{probe}:/probe:ro"];

export const volume = ["-v", "{dir}:/data"];

/** Lines that begin with one of these words. */
export const statusLines = (...names: string[]) => sh(`grep -E '^(${names.join("|")}):' /proc/self/status`);

/** Destination, kind and options of the mounts at these places. */
export const mountsAt = (...places: string[]) =>
  sh(`for p in ${places.join(" ")}; do awk -v p="$p" '$2 == p { print $2, $3, $4 }' /proc/self/mounts; done`);

/** Tries each command; prints how it ended. */
export const tries = (...commands: string[]) =>
  sh(commands.map((each) => `( ${each} ) 2>&1; echo "= $?"`).join("\n"));

export const program = (path: string, text: string, mode = 0o755) => {
  writeFileSync(path, text);
  chmodSync(path, mode);
};

export const bytes = (from: number, to: number) =>
  Uint8Array.from({ length: to - from }, (_, index) => from + index);

/** The addresses that Docker gives out one after the other. */
export const addresses = (text: string) =>
  text
    .replace(/\b172\.30\.0\.(?!1\b)\d+/g, "172.30.0.N")
    .replace(/\bfd00:30::(?!1\b)[0-9a-f:]+/g, "fd00:30::N")
    .replace(/\b02:42:ac:1e:00:[0-9a-f]{2}\b/g, "02:42:ac:1e:00:NN")
    .replace(/\bfe80::42:acff:fe1e:[0-9a-f]+/g, "fe80::N");

/** The ids of a container's later processes: runc has used up some before. */
export const processIds = (text: string) =>
  text.replace(/^( *)(\d+)( +)(\d+)( .*)$/gm, (_, start, pid, gap, parent, rest) => {
    const shown = (id: string) => (Number(id) > 1 ? "N" : id);
    return `${start}${shown(pid)}${gap}${shown(parent)}${rest}`;
  });
