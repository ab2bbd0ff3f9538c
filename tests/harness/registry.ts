import { createSign } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { succeed, until } from "./command.ts";

/** How a registry wants to know who asks; its user is `user` and the password `secret`. */
export type RegistryAuthentication = "none" | "basic" | "token";

/** Debian's docker-registry on a loopback address. */
export interface Registry {
  /** As it stands before an image's name. */
  readonly host: string;
  readonly port: number;
  /** Where it keeps its blobs. */
  readonly storage: string;
  /** Its access log so far. */
  log(): string;
  stop(): Promise<void>;
}

export interface RegistryOptions {
  authentication?: RegistryAuthentication;
  /** Precedes its command line: for another network. */
  within?: (argv: readonly string[]) => string[];
}

export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const { authentication = "none", within = (argv) => [...argv] } = options;
  const directory = mkdtempSync(join(tmpdir(), "urunc-registry-"));
  const port = await freePort();
  const storage = join(directory, "storage");
  const tokens = authentication === "token" ? await startTokenServer(directory) : undefined;
  const auth: Record<RegistryAuthentication, object> = {
    none: {},
    basic: { auth: { htpasswd: { realm: "test", path: join(directory, "htpasswd") } } },
    token: {
      auth: {
        token: {
          ...{ realm: tokens?.url, service: SERVICE, issuer: ISSUER },
          rootcertbundle: join(directory, "certificate.pem"),
        },
      },
    },
  };
  mkdirSync(storage);
  if (authentication === "basic") {
    const hash = await Bun.password.hash("secret", { algorithm: "bcrypt", cost: 4 });
    writeFileSync(join(directory, "htpasswd"), `user:${hash}\n`);
  }
  // JSON is YAML.
  const configuration = {
    version: 0.1,
    log: { level: "error" },
    storage: { filesystem: { rootdirectory: storage } },
    http: { addr: `127.0.0.1:${port}` },
    ...auth[authentication],
  };
  writeFileSync(join(directory, "config.yml"), JSON.stringify(configuration));
  const log = join(directory, "log");
  const child = Bun.spawn(within(["docker-registry", "serve", join(directory, "config.yml")]), {
    stdin: "ignore",
    stdout: Bun.file(log),
    stderr: Bun.file(`${log}.errors`),
  });
  const stop = async () => {
    child.kill("SIGKILL");
    await child.exited;
    await tokens?.stop();
    rmSync(directory, { recursive: true });
  };
  try {
    const probe = within(["sh", "-c", `exec 3<>/dev/tcp/127.0.0.1/${port}`]).map((word) =>
      word === "sh" ? "bash" : word,
    );
    await until(
      "the registry answers",
      () => Bun.spawnSync(probe, { stderr: "ignore" }).exitCode === 0,
      20_000,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { host: `127.0.0.1:${port}`, port, storage, log: () => readFileSync(log, "utf8"), stop };
}

const SERVICE = "registry.test";
const ISSUER = "tokens.test";

/** distribution's `token.md` and `jwt.md`: anybody may pull from `public/`, the user may do anything. */
async function startTokenServer(directory: string): Promise<{ url: string; stop(): Promise<void> }> {
  const key = join(directory, "key.pem");
  const certificate = join(directory, "certificate.pem");
  await succeed([
    ...["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens.test"],
    ...["-keyout", key, "-out", certificate],
  ]);
  const chain = readFileSync(certificate, "utf8").replace(/-----[^-]+-----|\s/g, "");
  const sign = (claims: object) => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${part({ typ: "JWT", alg: "RS256", x5c: [chain] })}.${part(claims)}`;
    return `${text}.${createSign("RSA-SHA256").update(text).sign(readFileSync(key), "base64url")}`;
  };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const given = request.headers.get("authorization");
      const known = given === `Basic ${btoa("user:secret")}`;
      if (given !== null && !known) return new Response("", { status: 401 });
      const { searchParams } = new URL(request.url);
      const access = searchParams.getAll("scope").flatMap((scope) => {
        const [, type, name, actions] = /^([a-z]+):(.+):([a-z,]+)$/.exec(scope) ?? [];
        const allowed = known || name?.startsWith("public/") ? (actions ?? "").split(",") : [];
        return [{ type, name, actions: known ? allowed : allowed.filter((action) => action === "pull") }];
      });
      const now = Math.floor(Date.now() / 1000);
      const claims = { iss: ISSUER, sub: "user", aud: SERVICE, exp: now + 300, nbf: now - 60, iat: now };
      return Response.json({ token: sign({ ...claims, jti: crypto.randomUUID(), access }) });
    },
  });
  return { url: `http://127.0.0.1:${server.port}/token`, stop: () => server.stop(true) };
}

/** What goes from a server to a client through us. */
export interface Relay {
  readonly host: string;
  /** Bytes that the server has sent. */
  bytes(): number;
  stop(): void;
}

/**
 * A line to a server that can be cut.
 *
 * @param most bytes after which a connection is cut, of the first `cuts` connections that come so far
 */
export function startRelay(port: number, most = Number.POSITIVE_INFINITY, cuts = 0): Relay {
  let bytes = 0;
  let left = cuts;
  const server = createServer((client) => {
    let own = 0;
    const upstream = Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data(socket, data) {
          bytes += data.length;
          own += data.length;
          if (own > most && left > 0) {
            left--;
            client.destroy();
            socket.end();
            return;
          }
          if (client.write(Buffer.from(data))) return;
          socket.pause();
          client.once("drain", () => socket.resume());
        },
        close: () => void client.end(),
        error: () => void client.destroy(),
      },
    });
    client.on("data", (data) => void upstream.then((socket) => socket.write(data)));
    client.on("close", () => void upstream.then((socket) => socket.end()));
    client.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  const address = server.address() as { port: number };
  return { host: `127.0.0.1:${address.port}`, bytes: () => bytes, stop: () => void server.close() };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
