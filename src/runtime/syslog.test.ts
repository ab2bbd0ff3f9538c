import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { syslogCommand } from "./syslog.ts";

/** What a system's log gets, here by UDP. */
async function sent(level: Parameters<typeof syslogCommand>[0], message: string): Promise<string> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  try {
    const received = new Promise<string>((resolve) =>
      socket.once("message", (text) => resolve(String(text))),
    );
    const [program, ...words] = syslogCommand(level, message);
    const place = ["--server", "127.0.0.1", "--udp", "--port", String(socket.address().port)];
    expect(spawnSync(program, [...place, ...words]).status).toBe(0);
    return await received;
  } finally {
    socket.close();
  }
}

test("a message is sent whole, with the daemon's facility and its severity", async () => {
  const warning = await sent("warning", '--version: a "b"\nc');
  expect(warning).toMatch(/^<28>.* urunc /);
  expect(warning).toEndWith(' --version: a "b" c');
  expect(await sent("error", "e")).toStartWith("<27>");
  expect(await sent("debug", "d")).toStartWith("<31>");
});
