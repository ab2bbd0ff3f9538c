import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { command } from "../harness/command.ts";
import type { Docker } from "../harness/docker.ts";
import { useLoadedDocker } from "../harness/docker-for-tests.ts";
import type { DockerMachines } from "../harness/docker-machines.ts";
import { imageReference } from "../harness/loaded-docker.ts";
import { runsMachines } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const debian = imageReference("debian");
const echo = imageReference("echo");
const FETCH = join(import.meta.dir, "../harness/fetch-text.ts");

let docker: Docker;
let machines: DockerMachines;
let files: string;

useLoadedDocker("run", ["debian", "echo"], (started) => {
  ({ docker, machines, files } = started);
});

async function fetchText(url: string): Promise<string> {
  const result = await command(docker.inNetwork([process.execPath, FETCH, url]), { timeoutMs: 30_000 });
  if (result.exitCode !== 0) throw new Error(`${url}: ${result.stderr}`);
  return result.stdout;
}

describe("docker run", () => {
  test("an image runs as a virtual machine of its own and gives its exit status", async () => {
    const cidFile = join(files, "cid");
    const result = await machines.run([
      ...["--cidfile", cidFile, "--dns", "192.0.2.53", "--dns-search", "example.test"],
      ...[debian, "sh", "-c", "uname -r; id; hostname; cat /etc/resolv.conf; exit 7"],
    ]);
    expect(result.stderr).toBe("");
    expect(result.exitCode).toBe(7);
    const [kernel, id, hostname, ...resolv] = result.stdout.trimEnd().split("\n");
    if (runsMachines) {
      expect(kernel).toEndWith("-urunc");
      expect(kernel).not.toBe(release());
    }
    expect(id).toStartWith("uid=0(root) gid=0(root)");
    expect(hostname).toBe(readFileSync(cidFile, "utf8").slice(0, 12));
    expect(resolv).toContain("nameserver 192.0.2.53");
    expect(resolv).toContain("search example.test");
  });

  test("-e, -w and --hostname", async () => {
    const text = await machines.output([
      ...["-e", "GREETING=hello world", "-w", "/usr/share", "--hostname", "box", "--domainname", "lan.test"],
      ...["--add-host", "peer:192.0.2.7", debian],
      ...["sh", "-c", 'echo "$GREETING"; pwd; hostname; uname -n; grep peer /etc/hosts; echo "$HOME"'],
    ]);
    const [greeting, cwd, hostname, node, hosts, home] = text.split("\n");
    expect([greeting, cwd, hostname, node, home]).toEqual([
      "hello world",
      "/usr/share",
      "box",
      "box",
      "/root",
    ]);
    expect(hosts).toMatch(/^192\.0\.2\.7\s+peer$/);
  });

  test("-w makes a directory that the image does not have", async () => {
    expect(await machines.output(["-w", "/made/for this", debian, "pwd"])).toBe("/made/for this");
  });

  test("-u takes a name with its groups, and bare numbers", async () => {
    const named = await machines.output(["-u", "user", debian, "sh", "-c", 'id; echo "$HOME"']);
    expect(named).toBe("uid=1000(user) gid=1000(user) groups=1000(user),100(users)\n/home/user");
    const numbers = await machines.output(["-u", "1234:5678", debian, "sh", "-c", "id -u; id -g; id -G"]);
    expect(numbers).toBe("1234\n5678\n5678");
    const denied = await machines.run(["-u", "1234:5678", debian, "sh", "-c", "cat /root/x; touch /etc/x"]);
    expect(denied.exitCode).not.toBe(0);
    expect(denied.stderr).toContain("Permission denied");
  });

  test("capabilities are the container's", async () => {
    const bits = "grep ^Cap /proc/self/status | tr -s '\\t' ' '";
    const plain = await machines.output([debian, "sh", "-c", bits]);
    expect(plain).toContain("CapEff: 00000000a80425fb");
    expect(plain).toContain("CapBnd: 00000000a80425fb");
    const none = await machines.output(["--cap-drop", "ALL", debian, "sh", "-c", bits]);
    expect(none).toContain("CapEff: 0000000000000000");
    const user = await machines.output(["-u", "1000", debian, "sh", "-c", bits]);
    expect(user).toContain("CapEff: 0000000000000000");
  });

  test("--security-opt no-new-privileges and --ulimit reach the process", async () => {
    const text = await machines.output([
      ...["--security-opt", "no-new-privileges", "--ulimit", "nofile=321:654", debian],
      ...["sh", "-c", "grep NoNewPrivs /proc/self/status; ulimit -Sn; ulimit -Hn"],
    ]);
    expect(text).toBe("NoNewPrivs:\t1\n321\n654");
  });

  test("the process is the first of its own process-id namespace, with the API file systems", async () => {
    const text = await machines.output([
      debian,
      ...["sh", "-c"],
      'echo $$; stat -f -c %T /proc /sys /dev /dev/shm | tr "\\n" " "; echo; ls -d /dev/null /dev/pts/ptmx; ls /proc | grep -c "^[0-9]"',
    ]);
    const [pid, types, ...rest] = text.split("\n");
    expect(pid).toBe("1");
    expect(types?.trim()).toBe("proc sysfs tmpfs tmpfs");
    expect(rest.slice(0, 2)).toEqual(["/dev/null", "/dev/pts/ptmx"]);
    // The shell, ls, grep: nothing of the guest's own.
    expect(Number(rest[2])).toBeLessThanOrEqual(4);
  });
});

describe("volumes", () => {
  test("-v: a directory both ways, a read-only one, a single file", async () => {
    const shared = join(files, "shared");
    const fixed = join(files, "fixed");
    const single = join(files, "single file");
    mkdirSync(shared);
    mkdirSync(fixed);
    writeFileSync(join(shared, "in"), "from the host\n");
    writeFileSync(join(fixed, "in"), "fixed\n");
    writeFileSync(single, "one file\n");
    const result = await machines.run([
      ...["-v", `${shared}:/data`, "-v", `${fixed}:/fixed:ro`, "-v", `${single}:/etc/one`, debian],
      ...["sh", "-c"],
      "cat /data/in /fixed/in /etc/one; echo from the guest > /data/out; chown 123:456 /data/out; chmod 640 /data/out; " +
        "echo changed > /etc/one; mkdir -p /data/a/b; touch /fixed/x || echo refused",
    ]);
    expect(result.stdout).toBe("from the host\nfixed\none file\nrefused\n");
    expect(result.stderr).toContain("Read-only file system");
    expect(result.exitCode).toBe(0);
    expect(readFileSync(join(shared, "out"), "utf8")).toBe("from the guest\n");
    expect(readFileSync(single, "utf8")).toBe("changed\n");
    const status = statSync(join(shared, "out"));
    expect([status.uid, status.gid, status.mode & 0o777]).toEqual([123, 456, 0o640]);
    expect(statSync(join(shared, "a/b")).isDirectory()).toBe(true);
  });

  test("what the host changes in a volume is seen while the machine runs", async () => {
    const shared = join(files, "live");
    mkdirSync(shared);
    const script =
      "echo ready; while ! grep -q go /data/flag 2>/dev/null; do sleep 0.1; done; cat /data/flag";
    const id = await machines.detach(["-v", `${shared}:/data`, debian, "sh", "-c", script]);
    await machines.untilLogged(id, "ready");
    writeFileSync(join(shared, "flag"), "go on\n");
    expect(await machines.exitCodeOf(id)).toBe(0);
    expect(await docker.succeed(["logs", id])).toBe("ready\ngo on");
    await docker.succeed(["rm", id]);
  });

  test("a named volume outlives its container and starts with the image's files", async () => {
    const name = "kept";
    await machines.output([
      "-v",
      `${name}:/etc`,
      debian,
      "sh",
      "-c",
      "test -s /etc/passwd && echo kept > /etc/mark",
    ]);
    expect(await machines.output(["-v", `${name}:/mnt`, debian, "cat", "/mnt/mark"])).toBe("kept");
    await docker.succeed(["volume", "rm", name]);
  });

  test("the container's own file system keeps what was written, and docker diff sees it", async () => {
    const id = await machines.detach([
      debian,
      "sh",
      "-c",
      "echo mine > /home/user/file; rm /usr/bin/awk; sync",
    ]);
    expect(await machines.exitCodeOf(id)).toBe(0);
    const changes = await docker.succeed(["diff", id]);
    expect(changes).toContain("A /home/user/file");
    expect(changes).toContain("D /usr/bin/awk");
    await docker.succeed(["rm", id]);
  });

  test("--read-only, with a tmpfs that can be written to", async () => {
    const result = await machines.run([
      ...["--read-only", "--tmpfs", "/scratch:size=1m,mode=700", debian, "sh", "-c"],
      "touch /x; touch /etc/x; echo ok > /scratch/x && cat /scratch/x; stat -c %a /scratch; df -k --output=size /scratch | tail -1 | tr -d ' '",
    ]);
    expect(result.stdout).toBe("ok\n700\n1024\n");
    expect(result.stderr.match(/Read-only file system/g)?.length).toBe(2);
    expect(result.exitCode).toBe(0);
  });
});

describe("resources", () => {
  test.if(runsMachines)("-m is the guest's memory", async () => {
    const totalMiB = async (args: string[]) => {
      const text = await machines.output([...args, debian, "grep", "MemTotal", "/proc/meminfo"]);
      return Number(/(\d+) kB/.exec(text)?.[1]) / 1024;
    };
    for (const [args, limit] of [
      [[], 256],
      [["-m", "128m"], 128],
      [["-m", "640m"], 640],
    ] as const) {
      const total = await totalMiB([...args]);
      expect(total).toBeLessThanOrEqual(limit);
      expect(total).toBeGreaterThan(limit * 0.85);
    }
  });

  test.if(runsMachines)("--cpus is the guest's number of processors, rounded up", async () => {
    expect(await machines.output([debian, "nproc"])).toBe("1");
    expect(await machines.output(["--cpus", "2", debian, "nproc"])).toBe("2");
    expect(
      await machines.output(["--cpus", "1.2", debian, "sh", "-c", "grep -c ^processor /proc/cpuinfo"]),
    ).toBe("2");
  });

  test.if(runsMachines)("a process that needs more than the guest has is killed, and only that", async () => {
    const script = "head -c 400m /dev/zero | tail >/dev/null; echo after";
    const id = await machines.detach(["-m", "96m", debian, "bash", "-c", script]);
    expect(await machines.exitCodeOf(id)).toBe(0);
    expect((await docker.run(["logs", id])).stdout).toBe("after\n");
    await docker.succeed(["rm", id]);
  });
});

describe("network", () => {
  test("a published port reaches the machine, by the bridge and by the loopback", async () => {
    const id = await machines.detach(["-p", "8080", echo]);
    const published = await docker.succeed(["port", id, "8080/tcp"]);
    const port = /^0\.0\.0\.0:(\d+)$/m.exec(published)?.[1];
    expect(port).toBeDefined();
    const bridge = docker.layout.bridgeAddress.replace(/\/.*/, "");
    for (const host of [bridge, "127.0.0.1"]) {
      expect(await fetchText(`http://${host}:${port}/by/${host}`)).toBe(`GET /by/${host} 0\n`);
    }
    expect(await docker.succeed(["logs", id])).toBe(`GET /by/${bridge} 0\nGET /by/127.0.0.1 0`);
    await docker.succeed(["rm", "--force", id]);
  });

  test("the guest has the container's MAC, addresses, default route and MTU", async () => {
    const id = await machines.detach([
      ...["--mac-address", "02:42:ac:1e:00:77", debian, "sh", "-c"],
      "ip -o address show eth0; ip route; ip -6 route; ip -o link show eth0; cat /etc/hosts; ping -c 1 -W 5 172.30.0.1 >/dev/null && echo reached; sleep 1000",
    ]);
    const [address, address6, gateway, gateway6] = (
      await machines.inspect(
        id,
        "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.GlobalIPv6Address}} {{.NetworkSettings.Gateway}} {{.NetworkSettings.IPv6Gateway}}",
      )
    ).split(" ");
    await machines.untilLogged(id, "reached");
    const text = await docker.succeed(["logs", id]);
    expect(address).toMatch(/^172\.30\.0\./);
    expect(address6).toMatch(/^fd00:30:/);
    expect(text).toContain(`inet ${address}/24`);
    expect(text).toContain(`inet6 ${address6}/64`);
    expect(text).toContain(`default via ${gateway} dev eth0`);
    expect(text).toContain(`default via ${gateway6} dev eth0`);
    expect(text).toContain("02:42:ac:1e:00:77");
    expect(text).toContain("mtu 1500");
    expect(text).toMatch(new RegExp(`^${address?.replaceAll(".", "\\.")}\\s+${id.slice(0, 12)}$`, "m"));
    await docker.succeed(["rm", "--force", id]);
  });

  test("--network none has a loopback and nothing else", async () => {
    const text = await machines.output([
      ...["--network", "none", debian, "sh", "-c"],
      'ip -o link | cut -d: -f2 | tr -d " \\n"; echo; ip -4 -o addr show lo; ping -c 1 -W 2 127.0.0.1 >/dev/null && echo loopback; ip route',
    ]);
    const lines = text.split("\n");
    expect(lines[0]).toBe("lo");
    expect(lines[1]).toContain("127.0.0.1/8");
    expect(lines[2]).toBe("loopback");
    expect(lines.length).toBe(3);
  });

  test.if(runsMachines)("--network host gives user-mode networking, not the host's interfaces", async () => {
    const text = await machines.output(["--network", "host", debian, "sh", "-c", "ip -4 -o addr; ip route"]);
    expect(text).toContain("10.0.2.15/24");
    expect(text).toContain("default via 10.0.2.2 dev eth0");
    expect(text).not.toContain("172.30.0.1");
    expect(text.split("\n").filter((line) => line.includes("inet ")).length).toBe(2);
  });
});

test("three machines at once do not mix", async () => {
  const results = await Promise.all(
    ["one", "two", "three"].map((name) =>
      machines.run([
        "--hostname",
        name,
        "-e",
        `ME=${name}`,
        debian,
        "sh",
        "-c",
        'for i in 1 2 3; do hostname; echo "$ME"; done; ip -4 -o addr show eth0 | tr -s " " | cut -d" " -f4',
      ]),
    ),
  );
  const addresses = new Set<string>();
  for (const [index, name] of ["one", "two", "three"].entries()) {
    const lines = results[index]?.stdout.trimEnd().split("\n") ?? [];
    expect(lines.slice(0, 6)).toEqual(Array(6).fill(name));
    addresses.add(lines[6] ?? "");
    expect(results[index]?.exitCode).toBe(0);
  }
  expect(addresses.size).toBe(3);
});
