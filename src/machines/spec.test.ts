import { expect, test } from "bun:test";
import type { ImageProcess } from "../image/spec/image-config.ts";
import { parseSpec } from "../oci/runtime-spec.ts";
import { RUN_WORDS, type RunRequest, readRequest } from "./request.ts";
import { commandOf, environmentOf, hostsFile, machineSpec } from "./spec.ts";
import { parseWords } from "./words.ts";

const image: ImageProcess = {
  env: ["A=image", "PATH=/image"],
  entrypoint: ["/entry"],
  cmd: ["arg"],
  workingDir: "/data",
  exposedPorts: [],
  volumes: [],
  labels: {},
};
const request = (...words: string[]): RunRequest =>
  readRequest(parseWords(words, RUN_WORDS, "bunny run"), { TAKEN: "1" });
const spec = (...words: string[]) =>
  machineSpec({
    id: "i".repeat(64),
    request: request(...words),
    image,
    user: { uid: 0, gid: 0 },
    hostname: "host",
    ports: request(...words).ports,
    root: "/cache/root.erofs",
    files: { resolvConf: "/m/resolv.conf", hosts: "/m/hosts", hostname: "/m/hostname" },
  });

test("what runs is the image's, until something else was said", () => {
  const command = (...words: string[]) => commandOf(request(...words), image);
  expect(command("i")).toEqual(["/entry", "arg"]);
  expect(command("i", "x", "-y")).toEqual(["/entry", "x", "-y"]);
  expect(command("--entrypoint", "e", "i")).toEqual(["e"]);
  expect(command("--entrypoint", "e", "i", "x")).toEqual(["e", "x"]);
  expect(command("--entrypoint", "", "i", "x")).toEqual(["x"]);
  expect(() => spec("--entrypoint=", "i")).toThrow("No command specified");
});

test("variables of the image can be changed and taken away", () => {
  const { env } = request("-e", "A=mine", "-e", "PATH", "-e", "TAKEN", "-t", "i");
  expect(environmentOf({ env, terminal: true }, image.env, "host")).toEqual([
    "HOSTNAME=host",
    "TERM=xterm",
    "A=mine",
    "TAKEN=1",
  ]);
  expect(environmentOf({ env: [], terminal: false }, [], "h")[0]).toStartWith("PATH=/usr/local/sbin:");
});

test("the specification is one, with Docker's defaults", () => {
  const machine = spec(
    "-m",
    "1g",
    "--cpus",
    "1.5",
    "-v",
    "/a:/b:ro",
    "--tmpfs",
    "/t:size=1m",
    "-p",
    "1:2",
    "i",
  );
  expect(parseSpec(JSON.stringify(machine), "x")).toMatchObject({
    process: { args: ["/entry", "arg"], cwd: "/data", terminal: false },
    root: { readonly: false },
    annotations: {
      "com.urunc.root.lower": "/cache/root.erofs",
      "com.urunc.network.publish": "tcp:0.0.0.0:1:2",
    },
    linux: {
      cgroupsPath: `/bunny/${"i".repeat(64)}`,
      sysctl: { "net.ipv4.ip_unprivileged_port_start": "0" },
      resources: { memory: { limit: 2 ** 30 }, cpu: { quota: 150_000, period: 100_000 } },
      namespaces: [{ type: "pid" }, { type: "ipc" }, { type: "uts" }, { type: "mount" }],
    },
  });
  expect(machine.mounts?.slice(-2)).toEqual([
    { destination: "/t", type: "tmpfs", source: "tmpfs", options: ["noexec", "nosuid", "nodev", "size=1m"] },
    { destination: "/b", type: "bind", source: "/a", options: ["rbind", "ro", "rprivate"] },
  ]);
  expect(spec("--network", "none", "i").linux?.namespaces).toContainEqual({ type: "network" });
});

test("a volume goes before the client's own file of the same place", () => {
  const mounts = spec("-v", "/mine:/etc/hosts", "i").mounts ?? [];
  expect(
    mounts.filter(({ destination }) => destination === "/etc/hosts").map(({ source }) => source),
  ).toEqual(["/mine"]);
});

test("the machine knows its own name", () => {
  expect(hostsFile("me", "user")).toContain("10.0.2.15\tme\n");
  expect(hostsFile("me", "none")).toContain("127.0.1.1\tme\n");
});

test.each<[string[], keyof RunRequest, unknown]>([
  [["-m", "64m"], "memory", 64 * 2 ** 20],
  [["-m", "1.5GB"], "memory", 1.5 * 2 ** 30],
  [["-m", "1000"], "memory", 1000],
  [["--cpus", ".5"], "nanoCpus", 5e8],
  [["--stop-signal", "rtmin+3"], "stopSignal", 37],
  [["--stop-signal", "9"], "stopSignal", 9],
  [["--label", "a=b=c", "--label", "d"], "labels", { a: "b=c", d: "" }],
])("%p means %s", (words, key, value) => {
  expect(request(...words, "i")[key]).toEqual(value as never);
});
