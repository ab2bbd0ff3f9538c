import { UruncError } from "../errors.ts";
import type { CapabilitySet, Process } from "../oci/runtime-spec.ts";
import type { SystemCallFilter } from "../seccomp/filter.ts";
import { DocumentWriter } from "./document.ts";
import { normalEnvironment } from "./environment.ts";
import { Tag } from "./protocol.ts";

/** Capability names by their bit, in the order of `<linux/capability.h>`. */
const CAPABILITIES = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE " +
  "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT " +
  "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP " +
  "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split(" ");

/** Resource limits by their number, in the order of `<asm-generic/resource.h>`. */
const RLIMITS =
  "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME".split(
    " ",
  );

const CAPABILITY_SETS: CapabilitySet[] = ["bounding", "effective", "inheritable", "permitted", "ambient"];

/** The umask field's value for "leave it". */
const UMASK_UNSET = 0xffffffff;

/** From here on a limit that came through JSON is "unlimited": numbers above 2^53 are not exact any more. */
const UNLIMITED_FROM = 2 ** 63;

/** What a process has that its description does not say. */
export interface OfContainer {
  /** Standard input is `/dev/null`. */
  noStdin?: boolean;
  /** Process 1 of its namespace is another: what a signal does by default, it does to it, too. */
  notFirst?: boolean;
  /** The same for all processes of a container. */
  filter?: SystemCallFilter | undefined;
}

/**
 * Encodes an OCI process as a process document (`docs/guest-protocol.md`, "A process").
 *
 * Unknown capability names are left out, as runc does (it warns): a kernel that does not know a capability cannot
 * give it.
 *
 * @throws UruncError `bundle-invalid`: a resource limit that Linux does not have, or one set twice; a variable that is
 *   none
 */
export function encodeProcess(process: Process, container: OfContainer = {}): Uint8Array {
  const document = new DocumentWriter();
  for (const argument of process.args) document.add(Tag.ARG, { string: argument });
  for (const variable of normalEnvironment(process.env ?? [])) document.add(Tag.ENV, { string: variable });
  document.add(Tag.CWD, { string: process.cwd });
  const { uid, gid, umask, additionalGids } = process.user;
  document.add(Tag.USER, { u32: uid }, { u32: gid }, { u32: umask ?? UMASK_UNSET });
  for (const group of new Set(additionalGids ?? [])) document.add(Tag.GROUP, { u32: group });
  if (process.capabilities) {
    const sets = CAPABILITY_SETS.map((set) => ({ u64: capabilityBits(process.capabilities?.[set] ?? []) }));
    document.add(Tag.CAPABILITIES, ...sets);
  }
  if (process.noNewPrivileges) document.add(Tag.NO_NEW_PRIVILEGES);
  const limited = new Set<number>();
  for (const { type, soft, hard } of process.rlimits ?? []) {
    const number = type.startsWith("RLIMIT_") ? RLIMITS.indexOf(type.slice("RLIMIT_".length)) : -1;
    if (number < 0) {
      throw new UruncError("bundle-invalid", `wrong rlimit value: ${type}`);
    }
    if (limited.has(number))
      throw new UruncError("bundle-invalid", `${type} is set twice in process.rlimits`);
    limited.add(number);
    document.add(Tag.RLIMIT, { u32: number }, { u32: 0 }, { u64: limit(soft) }, { u64: limit(hard) });
  }
  if (typeof process.oomScoreAdj === "number") {
    document.add(Tag.OOM_SCORE_ADJ, { i32: process.oomScoreAdj });
  }
  if (container.notFirst) document.add(Tag.NOT_FIRST);
  if (container.filter) {
    const { flags, program } = container.filter;
    document.add(Tag.SECCOMP, { u32: flags }, { bytes: Buffer.from(program, "base64") });
  }
  if (process.terminal) {
    const { height, width } = process.consoleSize ?? { height: 0, width: 0 };
    document.add(Tag.TERMINAL, { u16: height & 0xffff }, { u16: width & 0xffff });
  } else if (container.noStdin) document.add(Tag.NO_STDIN);
  return document.bytes();
}

function capabilityBits(names: readonly string[]): bigint {
  let bits = 0n;
  for (const name of names) {
    const bit = CAPABILITIES.indexOf(name.toUpperCase().replace(/^CAP_/, ""));
    if (bit >= 0) bits |= 1n << BigInt(bit);
  }
  return bits;
}

function limit(value: number): bigint {
  if (value < 0 || value >= UNLIMITED_FROM) return 0xffff_ffff_ffff_ffffn;
  return BigInt(Math.trunc(value));
}
