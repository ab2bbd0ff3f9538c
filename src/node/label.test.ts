import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { labelNode, NODE_LABEL } from "./label.ts";

/** An API whose certificate is its own authority's. */
const account = mkdtempSync(join(tmpdir(), "urunc-label-"));
const asked: { url: string; method: string; authorization: string | null; body: unknown }[] = [];
let status = 200;
let server: ReturnType<typeof Bun.serve>;

beforeAll(() => {
  const [key, certificate] = [join(account, "key.pem"), join(account, "ca.crt")];
  const made = Bun.spawnSync([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-keyout", key, "-out", certificate],
  ]);
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  writeFileSync(join(account, "token"), "the-token\n");
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { key: Bun.file(key), cert: Bun.file(certificate) },
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const authorization = request.headers.get("authorization");
      asked.push({ url: pathname, method: request.method, authorization, body: await request.json() });
      return new Response('{"message":"no such node"}', { status });
    },
  });
});

afterAll(() => {
  server.stop(true);
  rmSync(account, { recursive: true, force: true });
});

function environment(): Record<string, string> {
  return {
    NODE_NAME: "worker-1",
    KUBERNETES_SERVICE_HOST: "127.0.0.1",
    KUBERNETES_SERVICE_PORT: `${server.port}`,
  };
}

test("a node is labelled, and no more, by the pod's token", async () => {
  await labelNode(true, environment(), account);
  await labelNode(false, environment(), account);
  const request = { url: "/api/v1/nodes/worker-1", method: "PATCH", authorization: "Bearer the-token" };
  expect(asked.splice(0)).toEqual([
    { ...request, body: { metadata: { labels: { [NODE_LABEL]: "true" } } } },
    { ...request, body: { metadata: { labels: { [NODE_LABEL]: null } } } },
  ]);
});

test("an API that refuses is said to, with its words", async () => {
  status = 404;
  await expect(labelNode(true, environment(), account)).rejects.toThrow("404 ");
});

test("outside of a pod there is nothing to label", async () => {
  await expect(labelNode(true, {}, account)).rejects.toThrow("kubectl label node");
});
