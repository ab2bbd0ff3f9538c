/** The numbers of the guest protocol, version 1. The contract is `docs/guest-protocol.md`. */

export const RECORD_HEADER = 8;
/** Bytes; a machine's or a process's document may not be longer. */
export const DOCUMENT_MAX = 4 * 1024 * 1024;
/** A machine may have so many resolvers on the host's side. */
export const RESOLVERS_MAX = 3;
/** And so many ports of its loopback may be those of the pod's other containers. */
export const LOOPBACK_PORTS_MAX = 16;
export const AGENT_PORT = "urunc.agent.0";

export const Tag = {
  HOSTNAME: 0x0101,
  DOMAINNAME: 0x0102,
  LINK: 0x0110,
  ADDRESS: 0x0111,
  ROUTE: 0x0112,
  DEAD_ROUTE: 0x0113,
  ROOT: 0x0120,
  MOUNT: 0x0121,
  MASKED_PATH: 0x0122,
  READONLY_PATH: 0x0123,
  SYSCTL: 0x0124,
  DEVICE: 0x0125,
  CGROUP: 0x0126,
  RESOLVER: 0x0127,
  OVERLAY: 0x0128,
  SHARE: 0x0129,
  DISK: 0x012a,
  LAYER: 0x012b,
  LOOPBACK_PORT: 0x012c,

  ARG: 0x0201,
  ENV: 0x0202,
  CWD: 0x0203,
  USER: 0x0204,
  GROUP: 0x0205,
  CAPABILITIES: 0x0206,
  NO_NEW_PRIVILEGES: 0x0207,
  RLIMIT: 0x0208,
  OOM_SCORE_ADJ: 0x0209,
  TERMINAL: 0x020a,
  SECCOMP: 0x020b,
  NO_STDIN: 0x020c,
  QUERY: 0x020d,
  NOT_FIRST: 0x020e,

  MONITOR_ARG: 0x0301,
  MACHINE: 0x0302,
  PROCESS: 0x0303,
  LAUNCH_TERMINAL: 0x0304,
  BOOT_TIMEOUT: 0x0305,
  AGENT_SOCKET: 0x0306,
  LAUNCH_RESOLVER: 0x0307,
  MEMORY_LIMIT: 0x0308,
  LAUNCH_ATTACHED: 0x0309,
  FILE_SERVER: 0x030a,
  LAUNCH_DIRECT: 0x030b,
  CONSOLE_ON_STDIO: 0x030c,
  LAUNCH_EXCLUSIVE: 0x0310,
} as const;

export type Tag = (typeof Tag)[keyof typeof Tag];
