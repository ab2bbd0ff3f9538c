/**
 * Keeps one private Docker, or a containerd alone: starts it, says `ready`, and ends it when its standard input ends,
 * which it does when the process that asked for it stops it, fails or is killed. A line there kills containerd and
 * starts it again, which it says by `ready` too.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { command, succeed, until } from "./command.ts";
import {
  bridgeName,
  cgroupParent,
  containerdSocket,
  ctrCommand,
  type DockerLayout,
  dockerCommand,
  dockerSocket,
  inNetwork,
  namespaceName,
  runtimeRoot,
} from "./docker-layout.ts";

const layout = JSON.parse(process.argv[2] ?? "") as DockerLayout;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
const daemons: Bun.Subprocess[] = [];

let failed = false;
try {
  await start();
  console.log("ready");
  for await (const _ of console) {
    await killContainerd();
    await startContainerd();
    console.log("ready");
  }
} catch (error) {
  failed = true;
  console.error(error instanceof Error ? error.message : String(error));
}
for (const complaint of await stop()) {
  failed = true;
  console.error(complaint);
}
process.exit(failed ? 1 : 0);

async function start(): Promise<void> {
  const { directory } = layout;
  mkdirSync(`${directory}/client`, { recursive: true });
  if (layout.network === "private") {
    await succeed(["ip", "netns", "add", namespaceName(layout)]);
    await succeed(inNetwork(layout, ["ip", "link", "set", "lo", "up"]));
    // A new bridge's IPv6 address would be unusable for seconds while nobody answers that it is a duplicate.
    const noDetection =
      "for scope in all default; do echo 0 > /proc/sys/net/ipv6/conf/$scope/accept_dad; done";
    await succeed(inNetwork(layout, ["sh", "-c", noDetection]));
  } else {
    await succeed(["ip", "link", "add", bridgeName(layout), "type", "bridge"]);
    await succeed(["ip", "address", "add", layout.bridgeAddress, "dev", bridgeName(layout)]);
    await succeed(["ip", "link", "set", bridgeName(layout), "up"]);
  }

  writeFileSync(
    `${directory}/containerd.toml`,
    [
      "version = 2",
      `root = "${directory}/containerd"`,
      `state = "${directory}/containerd-state"`,
      `disabled_plugins = [${layout.cri === undefined ? '"io.containerd.grpc.v1.cri", ' : ""}"io.containerd.internal.v1.opt"]`,
      "[grpc]",
      `address = "${containerdSocket(layout)}"`,
      layout.cri ?? "",
    ].join("\n"),
  );
  await startContainerd();
  if (layout.daemons === "containerd") return;

  writeFileSync(
    `${directory}/docker.json`,
    JSON.stringify({
      "data-root": `${directory}/docker`,
      "exec-root": `${directory}/docker-state`,
      pidfile: `${directory}/docker.pid`,
      hosts: [`unix://${dockerSocket(layout)}`],
      containerd: containerdSocket(layout),
      "storage-driver": "overlay2",
      "exec-opts": ["native.cgroupdriver=cgroupfs"],
      "cgroup-parent": cgroupParent(layout),
      // Its old place is in /etc/docker, which is not ours.
      "deprecated-key-path": `${directory}/key.json`,
      runtimes: { urunc: { path: layout.runtime } },
      ...(layout.network === "private"
        ? { bip: layout.bridgeAddress, ipv6: true, "fixed-cidr-v6": "fd00:30::/64" }
        : { bridge: bridgeName(layout), iptables: false, "ip-forward": false, "ip-masq": false }),
    }),
  );
  launch("dockerd", inNetwork(layout, ["/usr/sbin/dockerd", "--config-file", `${directory}/docker.json`]));
  await ready("dockerd", dockerSocket(layout));
  await until("docker version", async () => (await docker(["version"])).exitCode === 0);
}

/** In the same network as Docker, whose `--network host` is then the runtime's own. It looks for shims in the PATH. */
async function startContainerd(): Promise<void> {
  const { directory, runtime } = layout;
  const argv = ["containerd", "--config", `${directory}/containerd.toml`];
  launch(
    "containerd",
    inNetwork(layout, ["env", `PATH=${dirname(runtime)}:${process.env["PATH"]}`, ...argv]),
  );
  await ready("containerd", containerdSocket(layout));
  await until("ctr version", async () => (await ctr(["version"])).exitCode === 0);
}

async function killContainerd(): Promise<void> {
  const daemon = daemons.pop();
  daemon?.kill("SIGKILL");
  await daemon?.exited;
  rmSync(containerdSocket(layout), { force: true });
}

function ctr(args: readonly string[]) {
  return command(ctrCommand(layout, args), { timeoutMs: 60_000 });
}

function docker(args: readonly string[]) {
  return command(dockerCommand(layout, args), { timeoutMs: 60_000 });
}

function launch(name: string, argv: readonly string[]): void {
  const log = openSync(`${layout.directory}/${name}.log`, "a");
  daemons.push(Bun.spawn([...argv], { stdin: "ignore", stdout: log, stderr: log }));
  closeSync(log);
}

async function ready(name: string, socket: string): Promise<void> {
  const daemon = daemons.at(-1);
  await until(`${name} listens`, () => {
    if (daemon?.exitCode !== null) {
      throw new Error(
        `${name} ended:\n${readFileSync(`${layout.directory}/${name}.log`, "utf8").slice(-4000)}`,
      );
    }
    return existsSync(socket);
  });
}

/** Ends and removes everything that can be there, whether start() came to its end or not; gives what remained. */
async function stop(): Promise<string[]> {
  const complaints: string[] = [];
  if (existsSync(dockerSocket(layout))) {
    try {
      const list = await docker(["ps", "--all", "--quiet", "--no-trunc"]);
      const ids = list.stdout.split("\n").filter((id) => id !== "");
      if (ids.length > 0) await docker(["rm", "--force", "--volumes", ...ids]);
    } catch (error) {
      complaints.push(String(error));
    }
  }
  if (layout.daemons === "containerd" && existsSync(containerdSocket(layout))) {
    try {
      const list = await ctr(["containers", "list", "--quiet"]);
      for (const id of list.stdout.split("\n").filter((id) => id !== "")) {
        await ctr(["tasks", "delete", "--force", id]);
        await ctr(["containers", "delete", id]);
      }
    } catch (error) {
      complaints.push(String(error));
    }
  }
  for (const daemon of daemons.reverse()) {
    daemon.kill("SIGTERM");
    const timer = setTimeout(() => daemon.kill("SIGKILL"), 30_000);
    await daemon.exited;
    clearTimeout(timer);
  }
  await endLeftProcesses();
  for (const point of mountsBelow(layout.directory)) await command(["umount", "--lazy", point]);
  for (const hierarchy of existsSync("/sys/fs/cgroup") ? ["", ...readdirSync("/sys/fs/cgroup")] : []) {
    await removeCgroup(`/sys/fs/cgroup/${hierarchy}${cgroupParent(layout)}`);
  }
  if (layout.network === "private") await command(["ip", "netns", "delete", namespaceName(layout)]);
  else await command(["ip", "link", "delete", bridgeName(layout)]);
  try {
    rmSync(layout.directory, { recursive: true, force: true });
    if (layout.daemons === "containerd" && layout.cri === undefined)
      rmSync(runtimeRoot(layout), { recursive: true, force: true });
  } catch (error) {
    complaints.push(String(error));
  }
  return complaints;
}

/** Shims outlive their containerd; what is left of containers is in their cgroup. By process id, never by name. */
async function endLeftProcesses(): Promise<void> {
  for (let round = 0; round < 50; round++) {
    const left = readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
      .filter((pid) => isOurs(pid));
    if (left.length === 0) return;
    for (const pid of left) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    await Bun.sleep(100);
  }
}

function isOurs(pid: string): boolean {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, "utf8");
    const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    if (name.startsWith("containerd-shim") && argv.includes(containerdSocket(layout))) return true;
    return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`:${cgroupParent(layout)}/`);
  } catch {
    return false;
  }
}

function mountsBelow(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${directory}/`))
    .reverse();
}

async function removeCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeCgroup(`${path}/${entry.name}`);
  }
  try {
    await until(
      `${path} is empty`,
      () => {
        try {
          rmdirSync(path);
          return true;
        } catch {
          return !existsSync(path);
        }
      },
      5000,
    );
  } catch {
    // Reported by whoever looks for what is left.
  }
}
