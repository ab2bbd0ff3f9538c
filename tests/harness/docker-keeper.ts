/**
 * Keeps one private Docker, or a containerd alone: starts it, says `ready`, and ends it when its standard input ends,
 * which it does when the process that asked for it stops it, fails or is killed. A line there, a `KeeperCommand`, kills
 * something and starts it again, which it says by `ready` too.
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
  programOf,
  runtimeRoot,
} from "./docker-layout.ts";
import type { KeeperCommand } from "./keeper.ts";

const layout = JSON.parse(process.argv[2] ?? "") as DockerLayout;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
/** In the order in which they were started. */
const daemons = new Map<string, Bun.Subprocess>();

let failed = false;
try {
  await start();
  console.log("ready");
  for await (const line of console) {
    await carryOut(line as KeeperCommand);
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
  mkdirSync(`${layout.directory}/client`, { recursive: true });
  await makeNetwork();
  writeSettings();
  await startDaemons();
}

async function carryOut(command: KeeperCommand): Promise<void> {
  switch (command) {
    case "kill containerd":
      await killDaemon("containerd", containerdSocket(layout));
      return await startContainerd();
    case "kill dockerd":
      await killDaemon("dockerd", dockerSocket(layout));
      return await startDockerd();
    case "kill all":
      await killAll();
      return await startDaemons();
    case "reboot":
      await killAll();
      await forgetBoot();
      await makeNetwork();
      return await startDaemons();
  }
}

async function makeNetwork(): Promise<void> {
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
}

function writeSettings(): void {
  const { directory } = layout;
  writeFileSync(
    `${directory}/containerd.toml`,
    [
      `version = ${layout.configVersion ?? 2}`,
      `root = "${directory}/containerd"`,
      `state = "${directory}/containerd-state"`,
      `disabled_plugins = [${layout.cri === undefined ? '"io.containerd.grpc.v1.cri", ' : ""}"io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]`,
      "[grpc]",
      `address = "${containerdSocket(layout)}"`,
      layout.cri ?? "",
      layout.plugins ?? "",
    ].join("\n"),
  );
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
      // Debian's keeps it in /etc/docker, which is not ours; newer ones have none.
      ...(programOf(layout, "dockerd", "") === "" ? { "deprecated-key-path": `${directory}/key.json` } : {}),
      "live-restore": layout.liveRestore === true,
      runtimes: { urunc: { path: layout.runtime } },
      ...(layout.network === "private"
        ? { bip: layout.bridgeAddress, ipv6: true, "fixed-cidr-v6": "fd00:30::/64" }
        : { bridge: bridgeName(layout), iptables: false, "ip-forward": false, "ip-masq": false }),
    }),
  );
}

async function startDaemons(): Promise<void> {
  await startContainerd();
  if (layout.daemons === "docker") await startDockerd();
}

async function startDockerd(): Promise<void> {
  const settings = `${layout.directory}/docker.json`;
  launch(
    "dockerd",
    inNetwork(layout, [
      ...path(),
      programOf(layout, "dockerd", "/usr/sbin/dockerd"),
      "--config-file",
      settings,
    ]),
  );
  await ready("dockerd", dockerSocket(layout));
  await until("docker version", async () => (await docker(["version"])).exitCode === 0);
}

/** In the same network as Docker, whose `--network host` is then the runtime's own. */
async function startContainerd(): Promise<void> {
  const argv = [
    programOf(layout, "containerd", "containerd"),
    "--config",
    `${layout.directory}/containerd.toml`,
  ];
  launch("containerd", inNetwork(layout, [...path(), ...argv]));
  await ready("containerd", containerdSocket(layout));
  await until("ctr version", async () => (await ctr(["version"])).exitCode === 0);
}

/** Daemons look for shims in the PATH, and shims for engines. */
function path(): string[] {
  const directories = [dirname(layout.runtime), layout.programs, process.env["PATH"]];
  return ["env", `PATH=${directories.filter(Boolean).join(":")}`];
}

async function killDaemon(name: string, socket: string): Promise<void> {
  const daemon = daemons.get(name);
  daemon?.kill("SIGKILL");
  await daemon?.exited;
  daemons.delete(name);
  rmSync(socket, { force: true });
}

/** All at once, so that none has time to see another's end and to tidy up after it. */
async function killAll(): Promise<void> {
  for (const daemon of daemons.values()) daemon.kill("SIGKILL");
  await killDaemon("dockerd", dockerSocket(layout));
  await killDaemon("containerd", containerdSocket(layout));
  await endLeftProcesses();
}

/** What a host's boot does not find again: mounts, control groups, networks, and all that is in /run. */
async function forgetBoot(): Promise<void> {
  const { directory } = layout;
  await removeMounts();
  await removeCgroups();
  await removeNetwork();
  for (const path of [
    `${directory}/containerd-state`,
    `${directory}/docker-state`,
    `${directory}/docker.pid`,
  ]) {
    rmSync(path, { recursive: true, force: true });
  }
  rmSync(runtimeRoot(layout), { recursive: true, force: true });
}

function ctr(args: readonly string[]) {
  return command(ctrCommand(layout, args), { timeoutMs: 60_000 });
}

function docker(args: readonly string[]) {
  return command(dockerCommand(layout, args), { timeoutMs: 60_000 });
}

function launch(name: string, argv: readonly string[]): void {
  const log = openSync(`${layout.directory}/${name}.log`, "a");
  daemons.set(name, Bun.spawn([...argv], { stdin: "ignore", stdout: log, stderr: log }));
  closeSync(log);
}

async function ready(name: string, socket: string): Promise<void> {
  const daemon = daemons.get(name);
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
  for (const daemon of [...daemons.values()].reverse()) {
    daemon.kill("SIGTERM");
    const timer = setTimeout(() => daemon.kill("SIGKILL"), 30_000);
    await daemon.exited;
    clearTimeout(timer);
  }
  await endLeftProcesses();
  await removeMounts();
  await removeCgroups();
  await removeNetwork();
  try {
    rmSync(layout.directory, { recursive: true, force: true });
    if (layout.daemons === "containerd" && layout.cri === undefined)
      rmSync(runtimeRoot(layout), { recursive: true, force: true });
  } catch (error) {
    complaints.push(String(error));
  }
  return complaints;
}

async function removeMounts(): Promise<void> {
  for (const point of mountsBelow(layout.directory)) await command(["umount", "--lazy", point]);
}

async function removeCgroups(): Promise<void> {
  for (const hierarchy of existsSync("/sys/fs/cgroup") ? ["", ...readdirSync("/sys/fs/cgroup")] : []) {
    await removeCgroup(`/sys/fs/cgroup/${hierarchy}${cgroupParent(layout)}`);
  }
}

async function removeNetwork(): Promise<void> {
  if (layout.network === "private") await command(["ip", "netns", "delete", namespaceName(layout)]);
  else await command(["ip", "link", "delete", bridgeName(layout)]);
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
