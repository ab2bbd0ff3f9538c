import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { succeed, until } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { useLoadedDocker } from "../harness/docker-for-tests.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { privateKiB } from "../harness/private-memory.ts";

setDefaultTimeout(120_000);

const debian = imageReference("debian");
const NETWORK = "names";
const SOURCE = join(import.meta.dir, "../harness/name-tool.c");
const DOCKER_RESOLVER = "127.0.0.11";
/** Of a server of our own on that network, which Docker's resolver asks for what it does not know. */
const SERVER = "172.28.9.53";
/** What name-tool says of a name that it has, and of its large one. */
const FOUND = "rcode 0, 1 addresses 192.0.2.7";
const LARGE = "rcode 0, 2500 addresses 192.9.195.7";

let docker: Docker;
/** name-tool, as a volume. */
let tool: string;
/** A directory of the tests', removed with the private Docker. */
let files: string;

useLoadedDocker("names", ["debian"], async (started) => {
  ({ docker, files } = started);
  tool = join(files, "name-tool");
  await succeed(["musl-gcc", "-static", "-O2", SOURCE, "-o", tool]);
  await docker.succeed(["network", "create", "--subnet", "172.28.9.0/24", NETWORK]);
  // A machine, whose port 53 is its own although Docker's resolver answers there too.
  const server = ["--name", "server", "--ip", SERVER, "--network-alias", "resolver"];
  await detach("urunc", [...server, debian, "name-tool", "serve", "0.0.0.0"]);
  await detach("runc", ["--name", "plain", "--network-alias", "other", debian, "sleep", "1000"]);
  await detach("urunc", ["--name", "machine", "--dns", SERVER, debian, "sleep", "1000"]);
  await detach("runc", ["--name", "plain-dns", "--dns", SERVER, debian, "sleep", "1000"]);
  await until("the server is ready", async () =>
    (await docker.run(["logs", "server"])).stdout.includes("ready"),
  );
});

/** A container on the network, with name-tool. */
function detach(runtime: "urunc" | "runc", args: readonly string[]): Promise<string> {
  const common = ["--detach", "--network", NETWORK, ...volume(tool, "/usr/bin/name-tool")];
  return docker.succeed(["run", "--runtime", runtime, ...common, ...args]);
}

function volume(path: string, destination: string): string[] {
  return ["-v", `${path}:${destination}:ro`];
}

/** `docker exec` that must succeed; gives its standard output. */
function inside(container: string, ...argv: readonly string[]): Promise<string> {
  return docker.succeed(["exec", container, ...argv]);
}

function address(container: string): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`;
  return docker.succeed(["inspect", "--format", format, container]);
}

/** What name-tool, in a container, says of so many questions at once to Docker's resolver. */
function ask(container: string, name: string, way: string, times: number): Promise<string> {
  return inside(container, "name-tool", "ask", DOCKER_RESOLVER, name, way, String(times));
}

describe("names on a network of Docker's", () => {
  test("the container's resolver is Docker's", async () => {
    expect(await inside("machine", "cat", "/etc/resolv.conf")).toContain(`nameserver ${DOCKER_RESOLVER}\n`);
  });

  test("a machine finds a container of runc's and another machine, by their names and aliases", async () => {
    for (const [name, container] of [
      ["plain", "plain"],
      ["other", "plain"],
      ["server", "server"],
      ["resolver", "server"],
    ] as const) {
      expect((await inside("machine", "getent", "hosts", name)).split(/\s+/)[0]).toBe(
        await address(container),
      );
    }
  });

  test("a container of runc's finds a machine, and a machine itself", async () => {
    for (const container of ["plain", "machine"]) {
      expect((await inside(container, "getent", "hosts", "machine")).split(/\s+/)[0]).toBe(
        await address("machine"),
      );
    }
  });

  test("a link gives a name to one container alone", async () => {
    const args = [
      "run",
      "--rm",
      "--runtime",
      "urunc",
      "--network",
      NETWORK,
      "--link",
      "plain:linked",
      debian,
    ];
    const found = await docker.succeed([...args, "getent", "hosts", "linked"]);
    expect(found.split(/\s+/)[0]).toBe(await address("plain"));
    expect((await docker.run(["exec", "machine", "getent", "hosts", "linked"])).exitCode).toBe(2);
  });

  test("an address has its name", async () => {
    const found = await inside("machine", "getent", "hosts", await address("plain"));
    expect(found).toContain(`plain.${NETWORK}`);
  });

  test("a name that Docker does not know is asked for where the container's resolvers are, by UDP and TCP", async () => {
    for (const container of ["plain-dns", "machine"]) {
      for (const way of ["udp", "tcp"] as const) {
        expect([container, way, await ask(container, "host.test", way, 1)]).toEqual([
          container,
          way,
          `1: ${FOUND}`,
        ]);
      }
    }
    expect(await inside("machine", "getent", "hosts", "host.test")).toMatch(/^192\.0\.2\.7\s/);
  });

  test("a name that does not exist is said not to", async () => {
    expect(await ask("machine", "nothing.invalid", "udp", 1)).toBe("1: rcode 3, 0 addresses ");
    expect((await docker.run(["exec", "machine", "getent", "hosts", "nothing.invalid"])).exitCode).toBe(2);
  });

  test("fifty questions at once have fifty answers", async () => {
    const plain = await address("plain");
    expect(await ask("machine", "plain", "udp", 50)).toBe(`50: rcode 0, 1 addresses ${plain}`);
    expect(await ask("machine", "host.test", "udp", 50)).toBe(`50: ${FOUND}`);
    const script = "for i in $(seq 50); do getent hosts plain & done | sort | uniq -c; wait";
    expect((await inside("machine", "bash", "-c", script)).trim()).toMatch(
      new RegExp(`^50 ${plain}\\s+plain$`),
    );
  });

  test("it does not matter how a socket is used", async () => {
    const plain = await address("plain");
    for (const container of ["plain-dns", "machine"]) {
      for (const way of ["loose", "mapped"]) {
        expect([way, await ask(container, "plain", way, 3)]).toEqual([
          way,
          `3: rcode 0, 1 addresses ${plain}`,
        ]);
      }
    }
  });

  test("several questions go over one connection", async () => {
    expect(await ask("machine", "plain", "tcp", 20)).toBe(
      `20: rcode 0, 1 addresses ${await address("plain")}`,
    );
  });

  test("an answer that is too large for a datagram comes by TCP", async () => {
    for (const container of ["plain-dns", "machine"]) {
      expect(await ask(container, "big.test", "udp", 1)).toMatch(/^1: rcode 0 truncated, 0 addresses/);
      expect(await ask(container, "big.test", "tcp", 1)).toBe(`1: ${LARGE}`);
    }
  });

  test("many connections at once are served one after another", async () => {
    const script = `for i in $(seq 30); do name-tool ask ${DOCKER_RESOLVER} plain tcp 2 & done | sort | uniq -c; wait`;
    const said = (await inside("machine", "bash", "-c", script)).trim();
    expect(said).toBe(`30 2: rcode 0, 1 addresses ${await address("plain")}`);
  });

  test("a machine is a resolver itself, on its own port 53 of every address", async () => {
    for (const way of ["udp", "tcp"]) {
      expect(await inside("plain", "name-tool", "ask", SERVER, "host.test", way, "1")).toBe(`1: ${FOUND}`);
      expect(await inside("server", "name-tool", "ask", "127.0.0.1", "host.test", way, "1")).toBe(
        `1: ${FOUND}`,
      );
    }
    expect((await inside("server", "getent", "hosts", "plain")).split(/\s+/)[0]).toBe(await address("plain"));
  });

  test("what is asked in a network namespace of the guest's own stays there", async () => {
    const caps = ["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"];
    const script =
      `ip link set lo up; name-tool serve ${DOCKER_RESOLVER} & sleep 2; ` +
      `name-tool ask ${DOCKER_RESOLVER} host.test udp 1; name-tool ask ${DOCKER_RESOLVER} plain tcp 1; kill %1`;
    const result = await docker.succeed([
      ...[
        "run",
        "--rm",
        "--runtime",
        "urunc",
        "--network",
        NETWORK,
        ...caps,
        ...volume(tool, "/usr/bin/name-tool"),
      ],
      ...[debian, "unshare", "--net", "bash", "-c", script],
    ]);
    expect(result.split("\n")).toEqual(["ready", `1: ${FOUND}`, "1: rcode 3, 0 addresses "]);
  });

  test("names resolve after a restart", async () => {
    await docker.succeed(["restart", "--time", "0", "plain-dns", "machine"]);
    for (const container of ["plain-dns", "machine"]) {
      expect(await ask(container, "host.test", "udp", 1)).toBe(`1: ${FOUND}`);
    }
  });

  test("a flood of questions does not hold up the streams", async () => {
    const flood = `while :; do timeout 1 name-tool ask ${DOCKER_RESOLVER} plain udp 200 >/dev/null 2>&1; done &`;
    const script = `${flood} sleep 1; head -c 4M /dev/zero | sha256sum; kill %1; head -c 4M /dev/zero`;
    const result = await docker.run(["exec", "machine", "bash", "-c", script]);
    expect(result.exitCode).toBe(0);
    expect(result.stdout.length).toBeGreaterThan(4 * 1024 * 1024);
    expect((await inside("machine", "getent", "hosts", "plain")).split(/\s+/)[0]).toBe(
      await address("plain"),
    );
  });

  test("after all that the stand-in keeps less than a mebibyte of memory of its own", async () => {
    const pid = await docker.succeed(["inspect", "--format", "{{.State.Pid}}", "machine"]);
    const own = privateKiB(pid);
    expect(own).toBeGreaterThan(0);
    expect(own).toBeLessThan(1024);
  });
});

describe("loopback addresses in resolv.conf", () => {
  function resolvConf(name: string): string[] {
    const path = join(files, `resolv-${name.replaceAll(":", "-")}`);
    writeFileSync(path, `nameserver ${name}\n`);
    return volume(path, "/etc/resolv.conf");
  }

  test.each(["127.0.0.53", "::1"])("with the host's network %s is the host's", async (name) => {
    const server = Bun.spawn(docker.inNetwork([tool, "serve", name]), { stdout: "pipe", stderr: "inherit" });
    try {
      await server.stdout.getReader().read();
      const args = ["run", "--rm", "--runtime", "urunc", "--network", "host", ...resolvConf(name)];
      expect(await docker.succeed([...args, debian, "getent", "hosts", "host.test"])).toMatch(
        /^192\.0\.2\.7\s/,
      );
    } finally {
      server.kill("SIGKILL");
      await server.exited;
    }
  });

  test("with a network of the container's own they are its own", async () => {
    const args = [
      "run",
      "--rm",
      "--runtime",
      "urunc",
      ...volume(tool, "/usr/bin/name-tool"),
      ...resolvConf("127.0.0.1"),
    ];
    const script = "name-tool serve 127.0.0.1 & sleep 2; getent hosts host.test; kill %1";
    expect(await docker.succeed([...args, debian, "bash", "-c", script])).toMatch(/^ready\n192\.0\.2\.7\s/);
  });
});
