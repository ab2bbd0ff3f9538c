import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { ContainerDirectory, ContainerRecord } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import { Conversation, type Query } from "../guest/query.ts";

/** Milliseconds for an answer. A stand-in that is well takes as long as the guest does. */
const PATIENCE = 30_000;

/** Of `<fcntl.h>`; Node has no name for it. */
const O_PATH = 0o10000000;

/**
 * Has the guest's agent answer a query.
 *
 * @returns the answer as the guest gave it: not to be trusted, and not to be printed as it is
 * @throws UruncError `state`: nothing listens, the machine ended meanwhile, or does not answer; `guest`: it refuses, and
 *   says why
 */
export async function askGuest(directory: ContainerDirectory, query: Query): Promise<string> {
  const socket = openSocket(directory);
  try {
    const answer = await converse(`/proc/self/fd/${socket}`, query);
    if (answer.kind === "answer") return answer.text;
    throw new UruncError("guest", printable(answer.text).slice(0, 4096));
  } finally {
    closeSync(socket);
  }
}

/** The sandbox can put anything in the socket's place: what is found must be a socket, and is what is connected to. */
function openSocket(directory: ContainerDirectory): number {
  let descriptor: number;
  try {
    descriptor = openSync(join(directory.vm, "exec.sock"), O_PATH | constants.O_NOFOLLOW);
  } catch (cause) {
    refuseWithoutAgent(directory.read());
    throw new UruncError("state", "the container's process is not running", { cause });
  }
  if (fstatSync(descriptor).isSocket()) return descriptor;
  closeSync(descriptor);
  throw new UruncError("state", "the container's socket for queries is none: delete the container");
}

/** @throws UruncError `not-supported`: the container's guest has no agent (`docs/direct.md`) */
export function refuseWithoutAgent(record: ContainerRecord | undefined): void {
  if (record?.kind !== "vm" || !record.way.direct) return;
  throw new UruncError(
    "not-supported",
    "the image's own kernel runs the container, without the agent that could look into it or start something: " +
      "leave com.urunc.unikernel.binary away, so that our kernel and its agent run the image",
  );
}

function converse(path: string, query: Query): Promise<NonNullable<Conversation["answer"]>> {
  const { promise, resolve, reject } = Promise.withResolvers<NonNullable<Conversation["answer"]>>();
  const conversation = new Conversation();
  const socket = connect(path);
  const fail = (sentence: string, cause?: unknown) => {
    reject(new UruncError("state", sentence, { cause }));
    socket.destroy();
  };
  const timer = setTimeout(
    () => fail(`the virtual machine did not answer within ${PATIENCE / 1000} seconds`),
    PATIENCE,
  );
  socket.on("connect", () => socket.write(Conversation.opening(query)));
  socket.on("data", (bytes: Uint8Array) => {
    try {
      const reply = conversation.take(bytes);
      if (conversation.answer !== undefined) {
        resolve(conversation.answer);
        socket.destroy();
      } else if (reply.length > 0) socket.write(reply);
    } catch (cause) {
      fail(`the virtual machine broke the protocol: ${(cause as Error).message}`, cause);
    }
  });
  socket.on("error", (cause) => fail("the container's process is not running", cause));
  socket.on("close", () => fail("the virtual machine has ended"));
  return promise.finally(() => clearTimeout(timer));
}

/** Text of the guest as a line that steers no terminal: controls and what reorders or breaks a line become blanks. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
}
