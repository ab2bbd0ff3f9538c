import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescMessage, Message, MessageInitShape } from "@bufbuild/protobuf";
import { until } from "./command.ts";
import {
  type ContainerConfigSchema,
  ContainerState,
  type ContainerStatus,
  type LinuxContainerResourcesSchema,
  type LinuxContainerSecurityContextSchema,
  NamespaceMode,
  type PodSandboxConfigSchema,
} from "./cri/cri_pb.ts";
import { type Handler, type Node, podCgroup } from "./kubernetes.ts";
import { imageReference } from "./loaded-docker.ts";

type Init<Schema extends DescMessage> = Exclude<MessageInitShape<Schema>, Message>;

/** What is asked for of a container beside its name and command; `linux` in parts. */
export interface Settings extends Omit<Init<typeof ContainerConfigSchema>, "linux"> {
  readonly resources?: Init<typeof LinuxContainerResourcesSchema>;
  readonly securityContext?: Init<typeof LinuxContainerSecurityContextSchema>;
}

export interface PodSettings extends Omit<Init<typeof PodSandboxConfigSchema>, "linux"> {
  readonly sysctls?: Record<string, string>;
}

/** How a command in a container ended. */
export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** A pod, and what a kubelet does with it. */
export interface Pod {
  readonly id: string;
  readonly address: string;
  /** A directory of the pod's own on the host. */
  readonly directory: string;
  /** Creates and starts a container, of the image debian unless it is said; gives its id. */
  run(name: string, words: readonly string[], settings?: Settings): Promise<string>;
  create(name: string, words: readonly string[], settings?: Settings): Promise<string>;
  exec(id: string, words: readonly string[], timeoutSeconds?: number): Promise<Ended>;
  /** `exec` of a shell's text, whose standard output is given; it must succeed. */
  sh(id: string, script: string): Promise<string>;
  status(id: string): Promise<ContainerStatus>;
  /** Waits for the container's end; gives its status. */
  ended(id: string): Promise<ContainerStatus>;
  /** Stops and removes a container. */
  removeContainer(id: string): Promise<void>;
  /** The lines of a container's log in the CRI's format: `TIME STREAM TAG TEXT`. */
  log(name: string): LogLine[];
  logPath(name: string): string;
  remove(): Promise<void>;
}

export interface LogLine {
  readonly time: string;
  readonly stream: string;
  readonly tag: string;
  readonly text: string;
}

let pods = 0;

/** Runs a pod's sandbox. */
export async function runPod(
  node: Node,
  { sysctls = {}, ...settings }: PodSettings = {},
  handler: Handler = "urunc",
): Promise<Pod> {
  const { cri } = node;
  const name = `pod-${++pods}`;
  const directory = join(node.directory, name);
  mkdirSync(join(directory, "logs"), { recursive: true });
  const config = {
    metadata: { name, uid: `${name}-uid`, namespace: "default", attempt: 0 },
    hostname: name,
    logDirectory: join(directory, "logs"),
    labels: { app: name },
    ...settings,
    linux: { cgroupParent: `${podCgroup(node)}/${name}`, sysctls },
  };
  const { podSandboxId } = await cri.runPodSandbox({ config, runtimeHandler: handler });
  const { status } = await cri.podSandboxStatus({ podSandboxId });
  const statusOf = async (containerId: string) => {
    const { status } = await cri.containerStatus({ containerId });
    if (status === undefined) throw new Error(`no status of ${containerId}`);
    return status;
  };
  let attempts = 0;
  const pod: Pod = {
    id: podSandboxId,
    address: status?.network?.ip ?? "",
    directory,
    async create(name, words, { resources, securityContext, ...settings } = {}) {
      const { containerId } = await cri.createContainer({
        podSandboxId,
        sandboxConfig: config,
        config: {
          metadata: { name, attempt: attempts++ },
          image: { image: `docker.io/${imageReference("debian")}:latest` },
          command: [...words],
          logPath: `${name}.log`,
          ...settings,
          linux: {
            resources: { memoryLimitInBytes: 128n << 20n, ...resources },
            // A kubelet's own choice for pods that say nothing of it.
            securityContext: { namespaceOptions: { pid: NamespaceMode.CONTAINER }, ...securityContext },
          },
        },
      });
      return containerId;
    },
    async run(name, words, settings) {
      const containerId = await pod.create(name, words, settings);
      await cri.startContainer({ containerId });
      return containerId;
    },
    async exec(containerId, words, timeoutSeconds = 60) {
      const request = { containerId, cmd: [...words], timeout: BigInt(timeoutSeconds) };
      const { stdout, stderr, exitCode } = await cri.execSync(request);
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      return { stdout: text(stdout), stderr: text(stderr), exitCode };
    },
    async sh(id, script) {
      const { stdout, stderr, exitCode } = await pod.exec(id, ["sh", "-c", script]);
      if (exitCode !== 0) throw new Error(`${script}: exit ${exitCode}\n${stdout}${stderr}`);
      return stdout;
    },
    status: statusOf,
    ended: (id) =>
      until(`${id} has ended`, async () => {
        const status = await statusOf(id);
        return status.state === ContainerState.CONTAINER_EXITED && status;
      }),
    async removeContainer(containerId) {
      await cri.stopContainer({ containerId, timeout: 1n });
      await cri.removeContainer({ containerId });
    },
    logPath: (name) => join(config.logDirectory, `${name}.log`),
    log: (name) =>
      readFileSync(pod.logPath(name), "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => {
          const [, time = "", stream = "", tag = "", text = ""] = /^(\S+) (\S+) (\S+) (.*)$/.exec(line) ?? [];
          return { time, stream, tag, text };
        }),
    async remove() {
      await cri.stopPodSandbox({ podSandboxId });
      await cri.removePodSandbox({ podSandboxId });
    },
  };
  return pod;
}
