import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { command, until } from "../harness/command.ts";
import { ContainerState, NamespaceMode, Protocol } from "../harness/cri/cri_pb.ts";
import { type Node, ONLINK_GATEWAY, podCgroup, startNode } from "../harness/kubernetes.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { type Pod, runPod } from "../harness/pod.ts";
import { runsMachines } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const HOST_PORT = 18_080;
const OUTSIDE_PORT = 18_081;
/** What `uname -r` says. */
const KERNEL = runsMachines ? /-urunc\n$/ : new RegExp(`^${release()}\n$`);
const onlyMachines = test.skipIf(!runsMachines);
const WAIT = "trap 'exit 9' TERM; while :; do sleep 0.1; done";
const MIB = 1n << 20n;

let node: Node;
/** A pod that most tests share, and its machine. */
let pod: Pod;
let main: string;

beforeAll(async () => {
  node = await startNode("k8s", ["debian", "echo", "busybox"]);
  pod = await runPod(node, { sysctls: { "kernel.shm_rmid_forced": "1", "net.core.somaxconn": "77" } });
  main = await pod.run("main", ["bash", "-c", SERVER], {
    mounts: volumes(pod),
    envs: [{ key: "A", value: "b c" }],
  });
}, 600_000);

afterAll(async () => {
  if (node === undefined) return;
  await node.stop();
  await expectNothingLeft([node.directory, podCgroup(node)]);
}, 120_000);

/** What comes up to a text, and with it; all of it, if that does not come. */
async function readUntil(stream: ReadableStream<Uint8Array>, end: string): Promise<string> {
  const reader = stream.getReader();
  let text = "";
  while (!text.includes(end)) {
    const { done, value } = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  return text;
}

/** What a call that must fail says. `rejects` of the test runner does not let HTTP/2 go on while it waits. */
function failureOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "",
    (error: Error) => error.message,
  );
}

/** Writes a line each to standard output and error, and goes on until it is told to end. */
const SERVER = `echo out; echo err >&2; ${WAIT}`;

/** What a kubelet mounts: a configuration behind a link that it exchanges, a token, where a last word is written. */
function volumes({ directory }: Pod) {
  const config = join(directory, "config");
  mkdirSync(join(config, "..1"), { recursive: true });
  writeFileSync(join(config, "..1/setting"), "old\n");
  symlinkSync("..1", join(config, "..data"));
  symlinkSync("..data/setting", join(config, "setting"));
  const token = join(directory, "token");
  mkdirSync(token);
  writeFileSync(join(token, "token"), "secret-token", { mode: 0o600 });
  writeFileSync(join(directory, "termination-log"), "");
  chmodSync(join(directory, "termination-log"), 0o666);
  writeFileSync(join(directory, "hosts"), "127.0.0.1 localhost\n10.1.2.3 friend\n");
  return [
    { hostPath: config, containerPath: "/etc/config", readonly: true },
    { hostPath: token, containerPath: "/var/run/secrets/kubernetes.io/serviceaccount", readonly: true },
    { hostPath: join(directory, "termination-log"), containerPath: "/dev/termination-log" },
    { hostPath: join(directory, "hosts"), containerPath: "/etc/hosts" },
  ];
}

describe("a pod of the runtime handler urunc", () => {
  test("its container is a machine with the pod's name, address and environment", async () => {
    expect(await pod.sh(main, "uname -r")).toMatch(KERNEL);
    expect(await pod.sh(main, "hostname")).toMatch(/^pod-\d+\n$/);
    expect(await pod.sh(main, "hostname -I")).toContain(pod.address);
    expect(await pod.sh(main, 'echo "$A"')).toBe("b c\n");
    expect((await pod.status(main)).state).toBe(ContainerState.CONTAINER_RUNNING);
  });

  test("it has the pod's kernel parameters", async () => {
    const files = "/proc/sys/kernel/shm_rmid_forced /proc/sys/net/core/somaxconn";
    expect(await pod.sh(main, `cat ${files}`)).toBe("1\n77\n");
  });

  test("exec: standard output and error apart, the exit status, a program that is not there", async () => {
    expect(await pod.exec(main, ["sh", "-c", "echo out; echo err >&2; exit 3"])).toEqual({
      stdout: "out\n",
      stderr: "err\n",
      exitCode: 3,
    });
    expect(await failureOf(pod.exec(main, ["/no/such/program"]))).toContain("no such file or directory");
  });

  test("exec: what takes longer than its timeout is ended", async () => {
    expect(await failureOf(pod.exec(main, ["sleep", "4321"], 1))).toContain("timeout");
    await until("it is gone", async () => !(await pod.sh(main, "ps -e -o args")).includes("sleep 4321"));
  });

  test("exec in a loop, as probes do", async () => {
    for (let round = 0; round < 5; round++) expect((await pod.exec(main, ["true"])).exitCode).toBe(0);
    expect((await pod.exec(main, ["false"])).exitCode).toBe(1);
  });

  test("streaming exec: input, output and error apart, the exit status", async () => {
    const { url } = await node.cri.exec({
      containerId: main,
      cmd: ["bash", "-c", "read line; echo got $line; echo err >&2; exit 5"],
      ...{ stdin: true, stdout: true, stderr: true },
    });
    const stream = node.stream("exec", url);
    stream.stdin.write("a line\n");
    stream.stdin.flush();
    const [stdout, stderr] = await Promise.all([
      new Response(stream.stdout).text(),
      new Response(stream.stderr).text(),
    ]);
    expect([stdout, stderr, await stream.exited]).toEqual(["got a line\n", "err\n", 5]);
  });

  test("streaming exec with a terminal has the size that it is told", async () => {
    const script = "until [ \"$(stty size)\" = '41 101' ]; do sleep 0.1; done; tty; exit 6";
    const { url } = await node.cri.exec({
      containerId: main,
      cmd: ["bash", "-c", script],
      ...{ tty: true, stdin: true, stdout: true },
    });
    const stream = node.stream("exec", url);
    stream.stdin.write("RESIZE 101 41\n");
    stream.stdin.flush();
    expect(await new Response(stream.stdout).text()).toMatch(/^\/dev\/pts\/\d+\r\n$/);
    expect(await stream.exited).toBe(6);
  });

  test("a configuration that the kubelet exchanges is seen; a token can be read and not written", async () => {
    expect(await pod.sh(main, "cat /etc/config/setting")).toBe("old\n");
    const config = join(pod.directory, "config");
    mkdirSync(join(config, "..2"));
    writeFileSync(join(config, "..2/setting"), "new\n");
    symlinkSync("..2", join(config, "..data_tmp"));
    renameSync(join(config, "..data_tmp"), join(config, "..data"));
    rmSync(join(config, "..1"), { recursive: true });
    await until("it is seen", async () => (await pod.sh(main, "cat /etc/config/setting")) === "new\n");
    const token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    expect(await pod.sh(main, `cat ${token}`)).toBe("secret-token");
    expect((await pod.exec(main, ["sh", "-c", `echo no > ${token}`])).stderr).toContain("Read-only");
    expect(await pod.sh(main, "grep -c friend /etc/hosts")).toBe("1\n");
  });

  test("what is written to the termination log is the kubelet's to read", async () => {
    await pod.sh(main, "printf 'the last word' > /dev/termination-log");
    expect(readFileSync(join(pod.directory, "termination-log"), "utf8")).toBe("the last word");
  });

  test("the log has the CRI's format, and is reopened when it was moved away", async () => {
    await until("both lines are there", () => pod.log("main").length === 2);
    const lines = pod.log("main");
    expect(lines.map(({ stream, tag, text }) => `${stream} ${tag} ${text}`).sort()).toEqual([
      "stderr F err",
      "stdout F out",
    ]);
    for (const { time } of lines) expect(Number.isNaN(Date.parse(time))).toBe(false);
    renameSync(pod.logPath("main"), `${pod.logPath("main")}.1`);
    await node.cri.reopenContainerLog({ containerId: main });
    expect(existsSync(pod.logPath("main"))).toBe(true);
    await pod.sh(main, "echo rotated > /proc/1/fd/1");
    await until("the new one is written", () => pod.log("main").some(({ text }) => text === "rotated"));
  });

  test("statistics of the container and of the pod", async () => {
    const { stats } = await node.cri.containerStats({ containerId: main });
    expect(stats?.memory?.workingSetBytes?.value).toBeGreaterThan(MIB);
    expect(stats?.cpu?.usageCoreNanoSeconds?.value).toBeGreaterThan(0n);
    const pods = (await node.cri.listPodSandboxStats({ filter: { id: pod.id } })).stats;
    expect(pods.map(({ attributes }) => attributes?.id)).toEqual([pod.id]);
    expect(pods[0]?.linux?.containers.map(({ attributes }) => attributes?.id)).toContain(main);
    expect(pods[0]?.linux?.network?.defaultInterface?.name).toBe("eth0");
  });

  onlyMachines(
    "limits of memory and processors are the machine's, and are changed by an update",
    async () => {
      const total = Number(await pod.sh(main, "awk '/MemTotal/ { print $2 }' /proc/meminfo"));
      expect(total).toBeLessThan(128 * 1024);
      const linux = {
        memoryLimitInBytes: 100n * MIB,
        cpuPeriod: 100_000n,
        cpuQuota: 50_000n,
        cpuShares: 512n,
      };
      await node.cri.updateContainerResources({ containerId: main, linux });
      expect(await pod.sh(main, "cat /sys/fs/cgroup/memory.max")).toBe(`${100n * MIB}\n`);
      const more = node.cri.updateContainerResources({
        containerId: main,
        linux: { memoryLimitInBytes: 1024n * MIB },
      });
      expect(await failureOf(more)).toContain("started with 128 MiB of memory");
    },
  );

  onlyMachines("a second machine at the same time is refused: the address is the first one's", async () => {
    const id = await pod.create("second", ["true"]);
    expect(await failureOf(node.cri.startContainer({ containerId: id }))).toContain(
      "another virtual machine",
    );
    await pod.removeContainer(id);
    expect((await pod.exec(main, ["true"])).exitCode).toBe(0);
  });

  test("a container is started again in the same pod, with the same address", async () => {
    await node.cri.stopContainer({ containerId: main, timeout: 30n });
    const { exitCode, reason } = await pod.ended(main);
    expect([exitCode, reason]).toEqual([9, "Error"]);
    // A kubelet removes the old one later.
    const again = await pod.run("main", ["bash", "-c", SERVER], { mounts: volumesAgain() });
    await pod.removeContainer(main);
    main = again;
    expect(await pod.sh(main, "hostname -I")).toContain(pod.address);
  });
});

function volumesAgain() {
  return [{ hostPath: join(pod.directory, "config"), containerPath: "/etc/config", readonly: true }];
}

describe("a pod's life", () => {
  test("an init container, then the main one: both are machines, and share a volume", async () => {
    const own = await runPod(node);
    const shared = join(own.directory, "shared");
    mkdirSync(shared);
    const mounts = [{ hostPath: shared, containerPath: "/shared" }];
    const init = await own.run("init", ["sh", "-c", "uname -r > /shared/kernel; exit 0"], { mounts });
    expect((await own.ended(init)).exitCode).toBe(0);
    const security = {
      runAsUser: { value: 1000n },
      runAsGroup: { value: 2000n },
      supplementalGroups: [3000n],
      readonlyRootfs: true,
      noNewPrivs: true,
      capabilities: { dropCapabilities: ["ALL"] },
    };
    const script =
      "cat /shared/kernel; id -u; id -g; id -G; grep -E 'CapEff|NoNewPrivs' /proc/self/status; echo x > /x";
    const id = await own.run("main", ["sh", "-c", script], { mounts, securityContext: security });
    expect((await own.ended(id)).exitCode).toBe(2);
    await until("the log is whole", () => own.log("main").some(({ stream }) => stream === "stderr"));
    const lines = own.log("main").map(({ text }) => text);
    expect(`${lines[0]}\n`).toMatch(KERNEL);
    // The image has the user in group 100.
    expect(lines.slice(1, 4)).toEqual(["1000", "2000", "2000 100 3000"]);
    expect(lines).toContain("CapEff:\t0000000000000000");
    expect(lines).toContain("NoNewPrivs:\t1");
    expect(lines.join("\n")).toContain("Read-only file system");
    await own.remove();
  });

  test("processes of one name space: a program is not process 1, so that a signal ends it, and all it left", async () => {
    const own = await runPod(node);
    const shared = { namespaceOptions: { pid: NamespaceMode.POD } };
    const id = await own.run("main", ["sh", "-c", "sleep 4321 & exec sleep 4322"], {
      securityContext: shared,
    });
    expect(await own.sh(id, "cat /proc/1/cmdline")).not.toContain("sleep");
    await until("both run", async () =>
      /sleep 4321\n(.*\n)*sleep 4322/.test(await own.sh(id, "ps -e -o args --sort args")),
    );
    await node.cri.stopContainer({ containerId: id, timeout: 600n });
    expect((await own.ended(id)).exitCode).toBe(128 + 15);
    await own.remove();
  });

  test("attach: what is written reaches the container, and its output comes back", async () => {
    const own = await runPod(node);
    const id = await own.run("cat", ["bash", "-c", "while read line; do echo got $line; done"], {
      stdin: true,
    });
    const { url } = await node.cri.attach({ containerId: id, stdin: true, stdout: true, stderr: true });
    const stream = node.stream("exec", url);
    stream.stdin.write("one line\n");
    stream.stdin.flush();
    expect(await readUntil(stream.stdout, "\n")).toBe("got one line\n");
    stream.kill();
    await own.remove();
  });

  test("a server is reached at the pod's address, at a port of the host and by another pod", async () => {
    const portMappings = [{ protocol: Protocol.TCP, containerPort: 8080, hostPort: HOST_PORT }];
    const own = await runPod(node, { portMappings });
    await own.run("echo", [], { image: { image: "docker.io/urunc-test/echo:latest" }, command: [] });
    const get = async (url: string) => {
      const argv = node.containerd.inNetwork(["curl", "--silent", "--max-time", "5", url]);
      return (await command(argv)).stdout;
    };
    await until("it answers", async () => (await get(`http://${own.address}:8080/a`)) === "GET /a 0\n");
    const [, outside] =
      /inet ([0-9.]+)/.exec(
        (await command(node.containerd.inNetwork(["ip", "address", "show", "cni0"]))).stdout,
      ) ?? [];
    expect(await get(`http://${outside}:${HOST_PORT}/b`)).toBe("GET /b 0\n");
    expect(await pod.sh(main, `curl --silent --max-time 5 http://${own.address}:8080/c`)).toBe("GET /c 0\n");
    const { url } = await node.cri.portForward({ podSandboxId: own.id, port: [8080] });
    const stream = node.stream("portforward", url);
    stream.stdin.write("GET /d HTTP/1.0\r\n\r\n");
    stream.stdin.flush();
    expect(await readUntil(stream.stdout, "GET /d 0\n")).toContain("200 OK");
    stream.kill();
    await own.remove();
  });

  onlyMachines(
    "a machine and a plain container share the pod's addresses, both ways and to the outside",
    async () => {
      const annotations = { "com.urunc.pod.containers": "sidecar:9121/9122" };
      const own = await runPod(node, { annotations });
      const image = { image: "docker.io/urunc-test/busybox:latest" };
      const serve = (name: string, command: string) => {
        const www = join(own.directory, name);
        mkdirSync(www);
        writeFileSync(join(www, "name"), name);
        const mounts = [{ hostPath: www, containerPath: "/www" }];
        return own.run(name, ["sh", "-c", command], { image, mounts });
      };
      const sidecar = await serve(
        "sidecar",
        "httpd -p 127.0.0.1:9122 -h /www; exec httpd -f -p 9121 -h /www",
      );
      const machine = await serve("machine", "exec httpd -f -p 8080 -h /www");
      expect(await own.sh(sidecar, "uname -r")).toBe(`${release()}\n`);
      expect(await own.sh(machine, "uname -r")).toMatch(KERNEL);

      const get = (id: string, url: string) => own.sh(id, `wget -q -O - http://${url}`);
      await until(
        "the machine serves",
        async () =>
          (await own.exec(machine, ["wget", "-q", "-O", "-", "http://127.0.0.1:8080/name"])).exitCode === 0,
      );
      expect(await get(sidecar, "127.0.0.1:8080/name")).toBe("machine");
      expect(await get(machine, "127.0.0.1:9121/name")).toBe("sidecar");
      expect(await get(machine, "127.0.0.1:9122/name")).toBe("sidecar");
      expect(await get(sidecar, "127.0.0.1:9122/name")).toBe("sidecar");

      const curl = async (port: number) => {
        const argv = ["curl", "--silent", "--max-time", "5", `http://${own.address}:${port}/name`];
        return (await command(node.containerd.inNetwork(argv))).stdout;
      };
      expect(await curl(8080)).toBe("machine");
      expect(await curl(9121)).toBe("sidecar");

      const text = `Bun.serve({ port: ${OUTSIDE_PORT}, fetch: () => new Response("outside") })`;
      const outside = Bun.spawn(node.containerd.inNetwork([process.execPath, "-e", text]));
      const gateway = own.address.replace(/\.\d+$/, ".1");
      for (const id of [sidecar, machine]) {
        await until("it is reached", async () => {
          const words = ["wget", "-q", "-O", "-", `http://${gateway}:${OUTSIDE_PORT}/`];
          return (await own.exec(id, words)).stdout === "outside";
        });
      }
      outside.kill();
      await own.remove();
    },
  );

  onlyMachines("an annotation that cannot be followed is said to be so", async () => {
    const own = await runPod(node, { annotations: { "com.urunc.pod.containers": "sidecar:http" } });
    expect(await failureOf(own.run("main", ["true"]))).toContain('"http" is no port');
    await own.remove();
  });

  test("a gateway outside of the pod's subnet, as Calico has it", async () => {
    const own = await runPod(node, {}, "onlink");
    const id = await own.run("main", ["bash", "-c", WAIT]);
    expect(own.address).not.toBe("");
    expect(await own.sh(id, "hostname -I")).toContain(own.address);
    expect(await own.sh(id, "ip route show default")).toContain(`default via ${ONLINK_GATEWAY} dev eth0`);
    expect((await own.exec(id, ["ping", "-c", "1", "-W", "5", ONLINK_GATEWAY])).exitCode).toBe(0);
    await own.remove();
  });
});
