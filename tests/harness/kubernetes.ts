import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { succeed, until } from "./command.ts";
import { type Containerd, startContainerd } from "./containerd.ts";
import { type Cri, openCri } from "./cri/client.ts";
import { cgroupParent, containerdSocket } from "./docker-layout.ts";
import { ensureImage, type ImageName } from "./images.ts";
import { layOut } from "./laid-out.ts";
import { imageReference } from "./loaded-docker.ts";
import { isNewer } from "./newer-clients.ts";
import { runsMachines, runtimePath } from "./runtime.ts";

/** Debian's CNI plugins. */
const PLUGINS = "/usr/lib/cni";
const PAUSE = "docker.io/urunc-test/pause:latest";

/** A containerd with its CRI plugin, as a node of Kubernetes has it, and who calls it in the kubelet's place. */
export interface Node {
  readonly containerd: Containerd;
  readonly cri: Cri;
  readonly directory: string;
  /** Runs `exec` or `attach` (by the URL that containerd gave), or a forwarded port, where containerd listens. */
  stream(kind: "exec" | "portforward", url: string): Bun.Subprocess<"pipe", "pipe", "pipe">;
  stop(): Promise<void>;
}

/** Handlers by their name: the directory of their network's configuration. All but the last are the tested runtime's. */
const NETWORKS = { urunc: "bridge", onlink: "onlink", runc: "bridge" } as const;
/** What a pod's sandbox runs by (`runtimeClassName`'s handler). */
export type Handler = keyof typeof NETWORKS;

/** Starts one, with images in it. Root only. */
export async function startNode(name: string, images: readonly ImageName[]): Promise<Node> {
  const archives: string[] = [];
  for (const image of images) archives.push((await ensureImage(image)).archive);
  const containerd = await startContainerd(name, runtimePath, {
    ...(isSecond ? { configVersion: 3 } : {}),
    cri: (directory) => {
      writeNetworks(directory);
      return criConfiguration(directory);
    },
  });
  const { directory } = containerd.layout;
  const cri = openCri(containerdSocket(containerd.layout));
  try {
    for (const archive of [...archives, await pauseImage(directory)]) {
      await containerd.succeed(["images", "import", archive]);
    }
    for (const image of [PAUSE, ...images.map((image) => `docker.io/${imageReference(image)}:latest`)]) {
      await until(`${image} is known`, async () => (await cri.imageStatus({ image: { image } })).image);
    }
  } catch (error) {
    await containerd.stop();
    throw error;
  }
  return {
    containerd,
    cri,
    directory,
    stream: (kind, url) =>
      Bun.spawn(
        containerd.inNetwork([
          process.execPath,
          join(import.meta.dir, "cri/stream-client.ts"),
          ...[kind, url],
        ]),
        { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
      ),
    async stop() {
      try {
        for (const { id } of (await cri.listPodSandbox({})).items) {
          await cri.stopPodSandbox({ podSandboxId: id });
          await cri.removePodSandbox({ podSandboxId: id });
        }
      } finally {
        cri.close();
        await containerd.stop();
      }
    },
  };
}

/** The cgroup of a node's pods. */
export function podCgroup(node: Node): string {
  return cgroupParent(node.containerd.layout);
}

/** Whether the containerd under test is 2 or newer, which names its plugins otherwise. */
const isSecond = isNewer("containerd", "2.0");

function criConfiguration(directory: string): string {
  const plugin = isSecond ? "io.containerd.cri.v1.runtime" : "io.containerd.grpc.v1.cri";
  const handlers = Object.entries(NETWORKS).flatMap(([handler, network]) => [
    `[plugins."${plugin}".containerd.runtimes.${handler}]`,
    `runtime_type = "io.containerd.${handler === "runc" || !runsMachines ? "runc" : "urunc"}.v2"`,
    `pod_annotations = ["com.urunc.unikernel.*", "com.urunc.pod.*"]`,
    `cni_conf_dir = "${directory}/cni/${network}"`,
  ]);
  return [
    ...(isSecond ? [`[plugins."io.containerd.cri.v1.images".pinned_images]`, `sandbox = "${PAUSE}"`] : []),
    `[plugins."${plugin}"]`,
    ...(isSecond ? [] : [`sandbox_image = "${PAUSE}"`]),
    "disable_apparmor = true",
    // Lowering it takes CAP_SYS_RESOURCE, which root does not have everywhere.
    "restrict_oom_score_adj = true",
    // So that nothing of a pod is where other users of the machine have theirs.
    "netns_mounts_under_state_dir = true",
    `[plugins."${plugin}".containerd]`,
    `default_runtime_name = "runc"`,
    ...handlers,
    `[plugins."${plugin}".cni]`,
    isSecond ? `bin_dirs = ["${directory}/cni/bin"]` : `bin_dir = "${directory}/cni/bin"`,
    `conf_dir = "${directory}/cni/bridge"`,
    "",
  ].join("\n");
}

function writeNetworks(directory: string): void {
  const cni = join(directory, "cni");
  for (const part of ["bin", "bridge", "onlink"]) mkdirSync(join(cni, part), { recursive: true });
  for (const plugin of ["bridge", "host-local", "portmap", "loopback"]) {
    writeScript(join(cni, "bin", plugin), `exec ${PLUGINS}/${plugin}\n`);
  }
  writeScript(join(cni, "bin/onlink"), ONLINK);
  const ipam = {
    type: "host-local",
    ranges: [[{ subnet: "10.89.0.0/24" }]],
    routes: [{ dst: "0.0.0.0/0" }],
    dataDir: join(cni, "leases"),
  };
  const bridge = { type: "bridge", bridge: "cni0", isGateway: true, ipMasq: true, hairpinMode: true, ipam };
  const portmap = { type: "portmap", capabilities: { portMappings: true } };
  writeNetwork(join(cni, "bridge"), "pods", [bridge, portmap]);
  writeNetwork(join(cni, "onlink"), "onlink", [{ type: "onlink" }]);
}

function writeNetwork(directory: string, name: string, plugins: readonly object[]): void {
  const list = { cniVersion: "0.4.0", name, plugins };
  writeFileSync(join(directory, `10-${name}.conflist`), JSON.stringify(list));
}

function writeScript(path: string, text: string): void {
  writeFileSync(path, `#!/bin/sh\n${text}`);
  chmodSync(path, 0o755);
}

/** The gateway of a pod that is in no subnet, as Calico has it. */
export const ONLINK_GATEWAY = "169.254.1.1";
const ONLINK_ADDRESS = "10.91.0.7";

/** A network plugin that gives a single address and a gateway outside of it. */
const ONLINK = `set -e
cat > /dev/null
[ "$CNI_COMMAND" = VERSION ] && echo '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}' && exit
[ "$CNI_COMMAND" = DEL ] && { ip link delete onlink0 2> /dev/null || :; exit 0; }
[ "$CNI_COMMAND" = ADD ] || exit 0
ip link add onlink0 type veth peer name onlink1
ip link set onlink1 netns "$CNI_NETNS"
ip address add ${ONLINK_GATEWAY}/32 dev onlink0
ip link set onlink0 up
ip route add ${ONLINK_ADDRESS}/32 dev onlink0
nsenter --net="$CNI_NETNS" sh -e -c "
ip link set onlink1 name $CNI_IFNAME
ip link set lo up
ip link set $CNI_IFNAME up
ip address add ${ONLINK_ADDRESS}/32 dev $CNI_IFNAME
ip route add ${ONLINK_GATEWAY} dev $CNI_IFNAME scope link
ip route add default via ${ONLINK_GATEWAY} dev $CNI_IFNAME"
cat << END
{"cniVersion":"0.4.0","interfaces":[{"name":"$CNI_IFNAME","sandbox":"$CNI_NETNS"}],
"ips":[{"version":"4","address":"${ONLINK_ADDRESS}/32","interface":0}],"routes":[{"dst":"0.0.0.0/0"}]}
END
`;

async function pauseImage(directory: string): Promise<string> {
  const program = join(directory, "pause");
  await succeed(["musl-gcc", "-static", "-O2", "-s", join(import.meta.dir, "pause.c"), "-o", program]);
  return layOut(directory, {
    files: { "/pause": program },
    process: { Entrypoint: ["/pause"] },
    reference: PAUSE,
  });
}
