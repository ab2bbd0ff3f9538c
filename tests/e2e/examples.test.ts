import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type CommandResult, command, succeed } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { ensureImage } from "../harness/images.ts";
import { layOut } from "../harness/laid-out.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { startLoadedDocker } from "../harness/loaded-docker.ts";
import { type Registry, startRegistry } from "../harness/registry.ts";

/**
 * The scripts of `examples/` as they stand, but for the names of images: those of public registries are images of Debian's
 * packages here, in a registry on a loopback address.
 */

setDefaultTimeout(180_000);

const ROOT = resolve(import.meta.dir, "../..");
const BIN = join(ROOT, "dist/bin");

let docker: Docker;
let registry: Registry;
let directory: string;
let examples: string;

/** Runs a program in the network of Docker, with a home and a store of the tests'. */
function run(argv: readonly string[]): Promise<CommandResult> {
  const environment = {
    // Debian's client, whatever else there is.
    PATH: `${BIN}:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: join(directory, "home"),
    XDG_RUNTIME_DIR: join(directory, "run"),
    DOCKER_HOST: `unix://${docker.socket}`,
  };
  const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return command(docker.inNetwork(["env", "-i", ...words, ...argv]), { timeoutMs: 170_000 });
}

async function output(...argv: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run(argv);
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${exitCode}\n${stdout}${stderr}`);
  return stdout;
}

const example = (name: string) => output(join(examples, name));

beforeAll(async () => {
  const [redis, nginx] = [await ensureImage("redis"), await ensureImage("nginx")];
  docker = await startLoadedDocker("examples", []);
  directory = mkdtempSync(join(tmpdir(), "urunc-examples-"));
  for (const name of ["home", "run"]) mkdirSync(join(directory, name), { mode: 0o700 });
  registry = await startRegistry({ within: docker.inNetwork });
  await publish("redis:alpine", redis.archive);
  // As the image nginx:alpine has it, where the command line says that nginx stays in the foreground.
  const configuration = join(directory, "nginx.conf");
  writeFileSync(configuration, NGINX_CONFIGURATION);
  const page = join(directory, "index.html");
  writeFileSync(page, "<h1>Welcome to nginx!</h1>\n");
  await publish(
    "nginx:alpine",
    await layOut(directory, {
      base: nginx.archive,
      files: { "/etc/nginx/nginx.conf": configuration, "/usr/share/nginx/html/index.html": page },
      process: { Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], Entrypoint: [] },
      command: ["nginx", "-g", "daemon off;"],
    }),
  );
  const whoami = join(directory, "whoami");
  const source = join(import.meta.dir, "../harness/whoami.c");
  await succeed(["musl-gcc", "-static", "-O2", "-s", "-Wall", "-Werror", source, "-o", whoami]);
  await publish(
    "traefik/whoami",
    await layOut(directory, { files: { "/whoami": whoami }, process: { Entrypoint: ["/whoami"] } }),
  );
  examples = join(directory, "examples");
  cpSync(join(ROOT, "examples"), examples, { recursive: true });
  for (const path of readdirSync(examples, { recursive: true }).map(String)) {
    if (/(\.sh|bunnyfile|Containerfile)$/.test(path)) rename(join(examples, path));
  }
  await example("prepare.sh");
}, 600_000);

afterAll(async () => {
  await registry?.stop();
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  if (docker === undefined) return;
  await docker.stop();
  await expectNothingLeft([docker.layout.directory, docker.cgroup]);
}, 120_000);

/** Brings an archive to where a public image's name leads to. */
async function publish(name: string, archive: string): Promise<void> {
  chmodSync(archive, 0o644);
  await output("bunny", "copy", "-q", `docker-archive:${archive}`, `docker://${registry.host}/${name}`);
}

/** Gives a file the names of images that exist here. */
function rename(path: string): void {
  const text = readFileSync(path, "utf8")
    .replaceAll("localhost:5000", registry.host)
    .replaceAll(/(?<![\w/])(redis:alpine|nginx:alpine|traefik\/whoami)(?![\w-])/g, `${registry.host}/$1`);
  writeFileSync(path, text);
}

/** Neither containers nor machines are left of an example. */
async function expectTidy(): Promise<void> {
  expect(await output("docker", "ps", "--all", "--quiet")).toBe("");
  expect(await output("bunny", "ps", "--all", "--quiet")).toBe("");
}

test("redis, whose image's own files are the root, answers", async () => {
  const out = await example("redis/run.sh");
  expect(out).toMatch(/^PING: \+PONG/m);
  expect(out).toMatch(/^os:Linux 6\.12.*-urunc /m);
  await expectTidy();
});

test("redis under urunit answers", async () => {
  expect(await example("redis-urunit/run.sh")).toMatch(/^PING: \+PONG/m);
  await expectTidy();
});

test("nginx serves from a block image, which was looked at before", async () => {
  const out = await example("nginx-block/run.sh");
  expect(out).toMatch(/^Filesystem state: +clean$/m);
  expect(out).toContain('"com.urunc.unikernel.block":"/.boot/rootfs"');
  expect(out).toContain('"com.urunc.unikernel.hypervisor":"firecracker"');
  // The page is nowhere but in that file.
  expect(out.match(/<h1>Served from a block image<\/h1>/g)?.length).toBe(2);
  await expectTidy();
});

test("a small HTTP service answers from an initrd", async () => {
  const out = await example("whoami-initrd/run.sh");
  expect(out).toContain("Hostname: whoami\nGET / HTTP/1.1\n");
  await expectTidy();
});

test("nginx serves without Docker, as it is and made bootable", async () => {
  const out = await example("without-docker/run.sh");
  expect(out.match(/<h1>Welcome to nginx!<\/h1>/g)?.length).toBe(2);
  expect(out).toContain('"GET / HTTP/1.1" 200');
  await expectTidy();
});

const NGINX_CONFIGURATION = `user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log stderr;
events {
  worker_connections 512;
}
http {
  include mime.types;
  access_log /dev/stdout;
  server {
    listen 80;
    root /usr/share/nginx/html;
  }
}
`;
