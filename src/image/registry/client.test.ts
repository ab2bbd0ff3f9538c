import { afterEach, describe, expect, test } from "bun:test";
import { digestOf } from "../spec/digest.ts";
import { OCI_LAYER, OCI_MANIFEST } from "../spec/media-type.ts";
import { parseReference } from "../spec/reference.ts";
import { RepositoryClient } from "./client.ts";
import type { RegistryConfiguration } from "./configuration.ts";
import { DEFAULT_PATIENCE } from "./retry.ts";

type Handler = (request: Request, url: URL) => Response | Promise<Response>;

const servers: Bun.Server<undefined>[] = [];
const listeners: Bun.TCPSocketListener[] = [];
afterEach(async () => {
  for (const listener of listeners.splice(0)) listener.stop(true);
  for (const server of servers.splice(0)) await server.stop(true);
});

/** What real registries do rarely: a server that misbehaves in one way. Gives its host. */
function serve(handler: Handler): string {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => handler(request, new URL(request.url)),
  });
  servers.push(server);
  return `127.0.0.1:${server.port}`;
}

const patience = { ...DEFAULT_PATIENCE, firstWait: 1, longestWait: 2, silence: 400 };

function client(
  host: string,
  configuration: RegistryConfiguration = {},
  password?: string,
): RepositoryClient {
  return new RepositoryClient(parseReference(`${host}/app:1`), {
    configuration,
    patience,
    credentials: async () => (password ? { kind: "password", user: "user", password } : undefined),
  });
}

const MANIFEST = JSON.stringify({ schemaVersion: 2, layers: [] });
const manifest = (headers: Record<string, string> = {}) =>
  new Response(MANIFEST, { headers: { "content-type": OCI_MANIFEST, ...headers } });

const CONTENT = new TextEncoder().encode("0123456789".repeat(20_000));
const BLOB = { mediaType: OCI_LAYER, digest: digestOf(CONTENT), size: CONTENT.length };

async function read(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  return Buffer.concat(parts);
}

describe("a manifest", () => {
  test("is asked for again after 429 and 500", async () => {
    const statuses = [429, 500, 503];
    const host = serve(() => {
      const status = statuses.shift();
      return status === undefined
        ? manifest()
        : new Response("", { status, headers: { "retry-after": "0" } });
    });
    expect((await client(host).manifest("1")).descriptor.digest).toBe(digestOf(MANIFEST));
  });

  test("is given up after five attempts, or at once if the wait would be long", async () => {
    let asked = 0;
    const failing = serve(() => {
      asked++;
      return new Response("", { status: 500 });
    });
    await expect(client(failing).manifest("1")).rejects.toThrow("answered 500");
    expect(asked).toBe(5);
    const busy = serve(() => new Response("", { status: 429, headers: { "retry-after": "3600" } }));
    await expect(client(busy).manifest("1")).rejects.toThrow("is asked too often");
  });

  test.each([
    [404, "does not have it (404: no such  tag)"],
    [403, "does not allow it"],
    [401, "docker login"],
    [418, "answered 418"],
  ])("that is refused with %d is one sentence", async (status, why) => {
    const body = JSON.stringify({ errors: [{ code: "X", message: "no such\u001b tag" }] });
    const host = serve(() => new Response(body, { status }));
    await expect(client(host).manifest("1")).rejects.toThrow(why);
  });

  test("of another content than its digest is refused", async () => {
    const host = serve(() => manifest());
    await expect(client(host).manifest(digestOf("other"))).rejects.toThrow("another content than its digest");
    const lying = serve(() => manifest({ "docker-content-digest": digestOf("other") }));
    await expect(client(lying).manifest("1")).rejects.toThrow("another content than its digest");
  });

  test("is asked for without its content", async () => {
    const digest = digestOf(MANIFEST);
    const host = serve((request, url) =>
      request.method === "HEAD" && url.pathname === "/v2/app/manifests/1"
        ? manifest({ "docker-content-digest": digest })
        : new Response("", { status: 404 }),
    );
    expect((await client(host).head("1"))?.digest).toBe(digest);
    expect(await client(host).head("2")).toBeUndefined();
  });

  test("that is too large is not read to its end", async () => {
    const host = serve(() => new Response(new Uint8Array(5 * 1024 * 1024)));
    await expect(client(host).manifest("1")).rejects.toThrow("more than 4194304 bytes");
  });

  test("is given up when nothing answers", async () => {
    const host = serve(() => new Promise<Response>(() => {}));
    await expect(client(host).manifest("1")).rejects.toThrow("cannot be reached");
    await expect(client("127.0.0.1:1").manifest("1")).rejects.toThrow("127.0.0.1:1 cannot be reached");
  }, 20_000);

  test("comes from a mirror, and from the registry where that fails", async () => {
    const origin = serve(() => manifest());
    const mirror = serve(() => new Response("", { status: 404 }));
    const configuration = { [origin]: { mirrors: [mirror] } };
    expect((await client(origin, configuration).manifest("1")).bytes.length).toBe(MANIFEST.length);
    const working = serve(() => manifest());
    const offline = { "127.0.0.1:1": { mirrors: [working] } };
    expect((await client("127.0.0.1:1", offline).manifest("1")).bytes.length).toBe(MANIFEST.length);
  });
});

describe("who asks", () => {
  test("is told to the registry and its token server, and not to where it redirects", async () => {
    const seen: (string | null)[] = [];
    const elsewhere = serve((request) => {
      seen.push(request.headers.get("authorization"));
      return new Response(CONTENT);
    });
    const host = serve((request, url) => {
      if (url.pathname === "/token") {
        expect(request.headers.get("authorization")).toBe(`Basic ${btoa("user:secret")}`);
        expect(url.searchParams.get("scope")).toBe("repository:app:pull");
        expect(url.searchParams.get("service")).toBe("s");
        return Response.json({ access_token: "t0ken" });
      }
      if (request.headers.get("authorization") !== "Bearer t0ken") {
        const challenge = `Bearer realm="http://${host}/token",service="s"`;
        return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
      }
      return Response.redirect(`http://${elsewhere}/blob`, 307);
    });
    expect((await read(client(host, {}, "secret").blob(BLOB))).equals(CONTENT)).toBe(true);
    expect(seen).toEqual([null]);
  });

  test("is told as name and password where that is asked for", async () => {
    const host = serve((request) =>
      request.headers.get("authorization") === `Basic ${btoa("user:secret")}`
        ? manifest()
        : new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }),
    );
    expect((await client(host, {}, "secret").manifest("1")).bytes.length).toBeGreaterThan(0);
    await expect(client(host, {}, "wrong").manifest("1")).rejects.toThrow("docker login");
    await expect(client(host).manifest("1")).rejects.toThrow("docker login");
  });

  test("is asked for anew when a token is old", async () => {
    let tokens = 0;
    const host = serve((request, url) => {
      if (url.pathname === "/token") return Response.json({ token: `t${++tokens}` });
      if (request.headers.get("authorization") === `Bearer t${tokens}` && tokens > 0) return manifest();
      return new Response("", {
        status: 401,
        headers: { "www-authenticate": `Bearer realm="http://${host}/token"` },
      });
    });
    const one = client(host);
    await one.manifest("1");
    await one.manifest("1");
    expect(tokens).toBe(1);
    tokens = 7;
    await one.manifest("1");
    expect(tokens).toBe(8);
  });

  test("is not told where the token server refuses or answers nonsense", async () => {
    for (const [answer, why] of [
      [() => new Response("", { status: 401 }), "the credentials are wrong"],
      [() => new Response("x"), "without a token"],
      [() => Response.json({ token: "a\nb" }), "without a token"],
    ] as const) {
      const host = serve((_, url) =>
        url.pathname === "/token"
          ? answer()
          : new Response("", {
              status: 401,
              headers: { "www-authenticate": `Bearer realm="http://${host}/token"` },
            }),
      );
      await expect(client(host, {}, "x").manifest("1")).rejects.toThrow(why);
    }
  });
});

describe("a blob", () => {
  /** Sends so many bytes of what it is asked for, and then cuts the connection. */
  function cutting(asked: string[], bytes: number): string {
    const listener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, request) {
          const range = /\r\nrange: bytes=(\d+)-/i.exec(request.toString())?.[1];
          asked.push(range ?? "all");
          const from = Number(range ?? 0);
          const rest = CONTENT.length - from;
          const status = range === undefined ? "200 OK" : "206 Partial Content";
          socket.write(
            `HTTP/1.1 ${status}\r\ncontent-length: ${rest}\r\n` +
              `content-range: bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}\r\n\r\n`,
          );
          socket.write(CONTENT.subarray(from, from + Math.min(bytes, rest)));
          // What comes together with the end of its connection is not handed to whoever reads.
          setTimeout(() => socket.end(), 30);
        },
      },
    });
    listeners.push(listener);
    return `127.0.0.1:${listener.port}`;
  }

  test("goes on where the connection was cut", async () => {
    const asked: string[] = [];
    const host = cutting(asked, 60_000);
    expect((await read(client(host).blob(BLOB))).equals(CONTENT)).toBe(true);
    // A connection that is cut before its answer is made again by itself.
    expect([...new Set(asked)]).toEqual(["all", "60000", "120000", "180000"]);
  });

  test("is given up when nothing more comes", async () => {
    const host = cutting([], 0);
    await expect(read(client(host).blob(BLOB))).rejects.toThrow("the connection to");
  });

  test("from a registry without ranges is read from the start, and passed over", async () => {
    const host = serve(() => new Response(CONTENT));
    expect((await read(client(host).blob(BLOB, 150_000))).equals(CONTENT.subarray(150_000))).toBe(true);
  });

  test("of another part than asked for is refused", async () => {
    const host = serve(
      () => new Response("x", { status: 206, headers: { "content-range": "bytes 0-0/200000" } }),
    );
    await expect(read(client(host).blob(BLOB, 5))).rejects.toThrow("another part");
  });

  test("is not waited for without end", async () => {
    const host = serve(
      () =>
        new Response(
          new ReadableStream({
            pull: async (controller) => {
              controller.enqueue(CONTENT.subarray(0, 10));
              await new Promise(() => {});
            },
          }),
        ),
    );
    await expect(read(client(host).blob({ ...BLOB, size: 10_000_000 }))).rejects.toThrow("broke");
  }, 20_000);

  test("is not looked for in redirects without end, or to a file", async () => {
    const host = serve((_, url) => Response.redirect(`http://${host}${url.pathname}`, 302));
    await expect(read(client(host).blob(BLOB))).rejects.toThrow("redirects more than 5 times");
    const local = serve(() => new Response("", { status: 302, headers: { location: "file:///etc/passwd" } }));
    await expect(read(client(local).blob(BLOB))).rejects.toThrow("redirects to");
  });
});
