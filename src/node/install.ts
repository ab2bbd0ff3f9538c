import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { checkImported, usesSystemd, withHandler, withoutHandler } from "./containerd-config.ts";
import { importedBy } from "./imports.ts";
import { installFiles, PROGRAM } from "./install-files.ts";
import { placeOf, placesOf } from "./places.ts";

/** What was changed on a node. */
export interface Changes {
  /** The files of containerd's, on the host. */
  readonly configured: readonly string[];
  /** systemd's units that are to be started again for that. */
  readonly units: readonly string[];
}

/** Where urunc is put on a node: nothing else is in there. */
export const NODE_PREFIX = "/opt/urunc";

/** There while containerd has not read what was changed, so that a call that was killed is made good by the next. */
const UNREAD = join(NODE_PREFIX, "containerd-is-to-be-restarted");

/**
 * Puts urunc onto a node and tells its containerd. What is so already stays as it is: a second call changes nothing of
 * containerd's.
 *
 * @param root the host's root directory
 * @param from the installation's prefix
 * @throws UruncError `config-invalid`, before anything is written
 */
export function installOnNode(root: string, from: string): Changes {
  const place = placeOf(root);
  const effective = read(join(root, place.effective));
  const imported = effective === undefined ? [] : importedBy(root, place.effective, effective);
  for (const text of imported) checkImported(text);
  const handler = {
    program: join(NODE_PREFIX, "bin", PROGRAM),
    systemdCgroup: effective !== undefined && usesSystemd([effective, ...imported]),
  };
  const path = join(root, place.path);
  const before = read(path);
  const after = withHandler(before, place.kind, handler);
  installFiles(from, join(root, NODE_PREFIX));
  const unread = join(root, UNREAD);
  if (after === before) return { configured: [], units: existsSync(unread) ? place.units : [] };
  writeFileSync(unread, "");
  write(path, after);
  return { configured: [place.path], units: place.units };
}

/** containerd has read what was changed, or somebody else sees to it. */
export function restarted(root: string): void {
  rmSync(join(root, UNREAD), { force: true });
}

/**
 * Takes away what `installOnNode` has put there; containerd's configuration has the bytes of before. May be called any
 * number of times. Pods that run keep what they have open, but cannot be stopped in order: they go first.
 *
 * @throws UruncError `config-invalid`
 */
export function removeFromNode(root: string): Changes {
  const changed = placesOf(root).filter(({ path }) => {
    const before = read(join(root, path)) ?? "";
    const after = withoutHandler(before);
    if (after === before) return false;
    if (after === undefined) rmSync(join(root, path));
    else write(join(root, path), after);
    return true;
  });
  rmSync(join(root, NODE_PREFIX), { recursive: true, force: true });
  return { configured: changed.map(({ path }) => path), units: changed.flatMap(({ units }) => units) };
}

function read(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

/** In one go, as containerd may read it at any moment. */
function write(path: string, text: string): void {
  const mode = existsSync(path) ? statSync(path).mode & 0o7777 : 0o644;
  const temporary = `${path}.urunc-new`;
  mkdirSync(dirname(path), { recursive: true });
  try {
    writeFileSync(temporary, text);
    chmodSync(temporary, mode);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}
