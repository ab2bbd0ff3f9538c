import { UruncError } from "../errors.ts";
import type { Resolver } from "../network/resolvers.ts";
import { DocumentWriter } from "./document.ts";
import { DOCUMENT_MAX, Tag } from "./protocol.ts";
import { addResolvers } from "./resolver-record.ts";

/** What the stand-in needs to start the virtual machine (`docs/guest-protocol.md`, "The launch document"). */
export interface Launch {
  /** The monitor's arguments; the first is its program's absolute path inside the sandbox. */
  monitor: string[];
  /** The file server's arguments, where the monitor does not serve the share itself. */
  fileServer?: readonly string[];
  /** The documents for the agent; undefined: there is none (`docs/direct.md`). */
  agent: AgentDocuments | undefined;
  /** Path in the sandbox of the socket that the monitor connects to for the agent; without it the monitor inherits one. */
  agentSocket?: string;
  /** The monitor has the guest's console on its standard input and output, and says what it has to say on the error output. */
  consoleOnStdio?: boolean;
  terminal: boolean;
  /** Milliseconds from the monitor's start until the application runs. */
  bootTimeout: number;
  /** Bytes that the stand-in may take to be killed for lack of memory, as its application was. */
  memoryLimit?: number;
  /** The machine ends with who started it. */
  attached?: boolean;
  /** Block devices that nobody else may have meanwhile: paths in the sandbox. */
  exclusive?: readonly string[];
  /** The machine's, in the same order. */
  resolvers?: readonly Resolver[];
}

export interface AgentDocuments {
  /** The machine's document. */
  readonly machine: Uint8Array;
  /** The main process's document. */
  readonly process: Uint8Array;
}

/**
 * Encodes the launch document.
 *
 * @throws UruncError `bundle-invalid`: a document is longer than the protocol allows
 */
export function encodeLaunch(launch: Launch): Uint8Array {
  const { agent } = launch;
  if (agent !== undefined) {
    checkLength("machine", agent.machine);
    checkLength("process", agent.process);
  }
  const writer = new DocumentWriter();
  for (const argument of launch.monitor) writer.add(Tag.MONITOR_ARG, { string: argument });
  for (const argument of launch.fileServer ?? []) writer.add(Tag.FILE_SERVER, { string: argument });
  if (agent === undefined) {
    writer.add(Tag.LAUNCH_DIRECT);
  } else {
    writer.add(Tag.MACHINE, { bytes: agent.machine });
    writer.add(Tag.PROCESS, { bytes: agent.process });
  }
  if (launch.agentSocket !== undefined) writer.add(Tag.AGENT_SOCKET, { string: launch.agentSocket });
  if (launch.consoleOnStdio) writer.add(Tag.CONSOLE_ON_STDIO);
  if (launch.terminal) writer.add(Tag.LAUNCH_TERMINAL);
  if (launch.attached) writer.add(Tag.LAUNCH_ATTACHED);
  for (const path of launch.exclusive ?? []) writer.add(Tag.LAUNCH_EXCLUSIVE, { string: path });
  writer.add(Tag.BOOT_TIMEOUT, { u32: launch.bootTimeout });
  if (launch.memoryLimit !== undefined) writer.add(Tag.MEMORY_LIMIT, { u64: BigInt(launch.memoryLimit) });
  addResolvers(writer, Tag.LAUNCH_RESOLVER, launch.resolvers ?? []);
  return writer.bytes();
}

/**
 * Encodes the document of a further process (`docs/guest-protocol.md`, "Exec").
 *
 * @param attached it ends with its caller
 * @throws UruncError `bundle-invalid`: it is longer than the protocol allows
 */
export function encodeExec(
  process: Uint8Array,
  { terminal, attached }: { terminal: boolean; attached: boolean },
): Uint8Array {
  checkLength("process", process);
  const writer = new DocumentWriter().add(Tag.PROCESS, { bytes: process });
  if (terminal) writer.add(Tag.LAUNCH_TERMINAL);
  if (attached) writer.add(Tag.LAUNCH_ATTACHED);
  return writer.bytes();
}

function checkLength(name: string, document: Uint8Array): void {
  if (document.length <= DOCUMENT_MAX) return;
  throw new UruncError(
    "bundle-invalid",
    `the ${name}'s settings take ${document.length} bytes: at most ${DOCUMENT_MAX} are possible, ` +
      "shorten the arguments, the environment or the list of mounts",
  );
}
