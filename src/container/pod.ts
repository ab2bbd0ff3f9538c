import { UruncError } from "../errors.ts";
import { LOOPBACK_PORTS_MAX } from "../guest/protocol.ts";
import { FIRST_OWN_PORT } from "../network/resolver-answers.ts";

/** A container of a pod that is no machine, by the pod's own wish. */
export interface PlainContainer {
  readonly name: string;
  /** TCP and UDP ports that it listens on, of the pod's addresses and its loopback. */
  readonly ports: readonly number[];
}

/**
 * The annotation of a pod that names its containers which are no machines: `NAME` or `NAME:PORT/PORT…`, separated by
 * commas. It is the pod's author's to say, as such a container is guarded by the host's kernel only.
 */
export const POD_CONTAINERS = "com.urunc.pod.containers";

/** Annotations by which CRI implementations mark what a container is, and name it. */
const TYPES = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];
const NAMES = ["io.kubernetes.cri.container-name", "io.kubernetes.container.name"];

/** And name the sandbox of its pod. */
const SANDBOXES = ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"];

/** A label of DNS, as Kubernetes wants a container's name to be. */
const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

type Annotations = Readonly<Record<string, string>>;

/** Whether a container holds a pod's name spaces, and nothing else. */
export function isPodSandbox(annotations: Annotations): boolean {
  return TYPES.some((key) => annotations[key] === "sandbox");
}

/** Whether it is one of a pod of Kubernetes, whose network others share. */
export function isInPod(annotations: Annotations = {}): boolean {
  return TYPES.some((key) => annotations[key] === "container");
}

/** The container that holds its pod's name spaces; undefined: it is in no pod, or who made it does not say. */
export function podSandboxId(annotations: Annotations = {}): string | undefined {
  if (!isInPod(annotations)) return undefined;
  return SANDBOXES.map((key) => annotations[key]).find((id) => id !== undefined);
}

/** Whether its pod names it as one that is no machine. */
export function isPlainContainer(annotations: Annotations): boolean {
  if (!isInPod(annotations)) return false;
  const name = NAMES.map((key) => annotations[key]).find((value) => value !== undefined);
  return plainContainers(annotations)?.some((plain) => plain.name === name) ?? false;
}

/**
 * The pod's containers that are no machines; undefined where there are none.
 *
 * @throws UruncError `bundle-invalid`: the annotation is not what it has to be
 */
export function plainContainers(annotations: Annotations = {}): PlainContainer[] | undefined {
  const text = annotations[POD_CONTAINERS];
  if (text === undefined || !isInPod(annotations)) return undefined;
  const containers = text.split(",").map((word) => plainContainer(word.trim()));
  const ports = containers.flatMap(({ ports }) => ports);
  if (ports.length > LOOPBACK_PORTS_MAX) throw wrong(`it has more than ${LOOPBACK_PORTS_MAX} ports`);
  if (new Set(ports).size < ports.length) throw wrong("it has a port twice");
  return containers;
}

function plainContainer(word: string): PlainContainer {
  const [name = "", ports, ...more] = word.split(":");
  if (!NAME.test(name) || more.length > 0)
    throw wrong(`${JSON.stringify(word.slice(0, 100))} is no NAME:PORT/PORT`);
  return { name, ports: ports === undefined ? [] : ports.split("/").map(portOf) };
}

function portOf(text: string): number {
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  if (port > 0 && port < FIRST_OWN_PORT) return port;
  throw wrong(`${JSON.stringify(text.slice(0, 100))} is no port from 1 to ${FIRST_OWN_PORT - 1}`);
}

function wrong(why: string): UruncError {
  return new UruncError(
    "bundle-invalid",
    `the pod's annotation ${POD_CONTAINERS} cannot be followed: ${why}; it is NAME or NAME:PORT/PORT, separated by commas`,
  );
}
