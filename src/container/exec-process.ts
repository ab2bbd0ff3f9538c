import { UruncError } from "../errors.ts";
import type { Process } from "../oci/runtime-spec.ts";

/** What the command line of `exec` says of a process; the rest is as with the container's own. */
export interface ExecChanges {
  args: string[];
  /** Added behind the container's own: the last of a name counts. */
  env: string[];
  terminal: boolean;
  /** Numbers, as text. */
  additionalGids: string[];
  /** `CAP_…` */
  capabilities: string[];
  cwd?: string;
  /** `UID[:GID]` */
  user?: string;
  noNewPrivileges?: boolean;
}

/**
 * The process of `exec` (runc's `exec.go`, `getProcess`).
 *
 * @param own the container's own process
 * @throws UruncError `usage`
 */
export function execProcess(own: Process, changes: ExecChanges): Process {
  if (changes.args.length === 0) throw new UruncError("usage", "process args cannot be empty");
  const { terminal: _, consoleSize: __, ...kept } = own;
  const user = { ...own.user };
  if (changes.user !== undefined) {
    const [uid = "", gid, ...more] = changes.user.split(":");
    if (more.length > 0) throw new UruncError("usage", `--user is UID[:GID], not ${changes.user}`);
    user.uid = identifier(uid, "--user");
    if (gid !== undefined) user.gid = identifier(gid, "--user");
  }
  const gids = changes.additionalGids.map((gid) => identifier(gid, "--additional-gids"));
  if (gids.length > 0) user.additionalGids = [...(own.user.additionalGids ?? []), ...gids];
  return {
    ...kept,
    user,
    args: changes.args,
    env: [...(own.env ?? []), ...changes.env],
    ...(changes.cwd === undefined ? {} : { cwd: changes.cwd }),
    ...(changes.terminal ? { terminal: true } : {}),
    ...(changes.noNewPrivileges === undefined ? {} : { noNewPrivileges: changes.noNewPrivileges }),
    ...(changes.capabilities.length > 0 ? { capabilities: withCapabilities(own, changes.capabilities) } : {}),
  };
}

/** Not the inheritable ones, as runc since 1.1.2. */
function withCapabilities(own: Process, added: readonly string[]): NonNullable<Process["capabilities"]> {
  const sets = { ...own.capabilities };
  for (const set of ["bounding", "effective", "permitted", "ambient"] as const) {
    sets[set] = [...(sets[set] ?? []), ...added];
  }
  return sets;
}

function identifier(text: string, flag: string): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number <= 0xffffffff) return number;
  throw new UruncError("usage", `${flag} takes numbers from 0 to 4294967295, not ${JSON.stringify(text)}`);
}
