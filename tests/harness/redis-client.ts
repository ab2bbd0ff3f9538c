/**
 * `redis-client.ts HOST PORT`: reads a JSON array of commands (arrays of words) from standard input, sends them one
 * after the other and prints the JSON array of the answers. A program of its own, as it runs in another network
 * namespace.
 */
type Answer = string | number | null | { error: string };

const [host = "", port = ""] = process.argv.slice(2);
const commands = (await Bun.stdin.json()) as string[][];
let received: Buffer = Buffer.alloc(0);
let wake: () => void = () => {};
let closed = false;

const socket = await Bun.connect({
  hostname: host,
  port: Number(port),
  socket: {
    data(_, data) {
      received = Buffer.concat([received, data]);
      wake();
    },
    close() {
      closed = true;
      wake();
    },
    drain() {
      wake();
    },
  },
});

const answers: Answer[] = [];
for (const words of commands) {
  await send(encode(words));
  answers.push(await answer());
}
socket.end();
console.log(JSON.stringify(answers));
process.exit(0);

function encode(words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join("")}`);
}

async function send(bytes: Buffer): Promise<void> {
  for (let sent = 0; sent < bytes.length; ) {
    const more = socket.write(bytes.subarray(sent));
    sent += more;
    if (sent < bytes.length) await event();
  }
}

async function event(): Promise<void> {
  if (closed) throw new Error("the connection was closed");
  await new Promise<void>((resolve) => {
    wake = resolve;
  });
}

async function answer(): Promise<Answer> {
  const line = await take(() => {
    const end = received.indexOf("\r\n");
    return end < 0 ? undefined : end + 2;
  });
  const text = line.subarray(1, -2).toString();
  switch (String.fromCharCode(line[0] ?? 0)) {
    case "+":
      return text;
    case ":":
      return Number(text);
    case "-":
      return { error: text };
    case "$": {
      const length = Number(text);
      if (length < 0) return null;
      const value = await take(() => (received.length >= length + 2 ? length + 2 : undefined));
      return value.subarray(0, length).toString();
    }
    default:
      throw new Error(`not understood: ${line}`);
  }
}

async function take(length: () => number | undefined): Promise<Buffer> {
  for (;;) {
    const found = length();
    if (found !== undefined) {
      const taken = received.subarray(0, found);
      received = received.subarray(found);
      return taken;
    }
    await event();
  }
}
