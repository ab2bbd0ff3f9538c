/**
 * The client's end of a CRI stream (`exec`, `attach`, `portforward`), run where containerd's streaming server listens:
 * in its network namespace. WebSocket with the subprotocol `v4.channel.k8s.io`: each message begins with its channel.
 *
 *     stream-client.ts exec URL         standard streams are the process's; ends with its status
 *     stream-client.ts portforward URL  standard input and output are the connection
 *
 * A line `RESIZE WIDTH HEIGHT` on standard input changes the terminal instead of being written to it.
 */
const [kind, url = ""] = process.argv.slice(2);
const STDIN = 0;
/** Channels of what comes. */
const [STDOUT, STDERR, ERROR] = kind === "portforward" ? [0, -1, 1] : [1, 2, 3];
const RESIZE = 4;
/** The first message of each of a forwarded port's channels has its number, and nothing else. */
let announcements = kind === "portforward" ? 2 : 0;
let status = 0;

const socket = new WebSocket(url.replace(/^http/, "ws"), "v4.channel.k8s.io");
socket.binaryType = "arraybuffer";
socket.onerror = (event) => {
  process.stderr.write(`the stream failed: ${"message" in event ? event.message : ""}\n`);
  status = 255;
};
socket.onmessage = ({ data }) => {
  const bytes = new Uint8Array(data as ArrayBuffer);
  const [channel = 255] = bytes;
  const text = bytes.subarray(1);
  if (announcements > 0) announcements--;
  else if (channel === ERROR) status = statusOf(new TextDecoder().decode(text));
  else if (channel === STDOUT) process.stdout.write(text);
  else if (channel === STDERR) process.stderr.write(text);
};
socket.onclose = () => process.exit(status);
socket.onopen = async () => {
  for await (const part of Bun.stdin.stream()) {
    const size = /^RESIZE (\d+) (\d+)\n$/.exec(new TextDecoder().decode(part));
    if (size === null) send(STDIN, part);
    else send(RESIZE, Buffer.from(JSON.stringify({ Width: Number(size[1]), Height: Number(size[2]) })));
  }
};

function send(channel: number, bytes: Uint8Array): void {
  socket.send(Buffer.concat([Uint8Array.of(channel), bytes]));
}

/** A `metav1.Status`: of a process that ended with another status than 0 that is a cause. */
function statusOf(text: string): number {
  if (kind === "portforward") {
    process.stderr.write(text);
    return 255;
  }
  const { status, details, message } = JSON.parse(text) as {
    status: string;
    message?: string;
    details?: { causes?: { reason: string; message: string }[] };
  };
  if (status === "Success") return 0;
  const code = details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  if (code === undefined) process.stderr.write(`${message}\n`);
  return Number(code ?? 255);
}
