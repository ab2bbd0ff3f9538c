import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { UruncError } from "../errors.ts";
import { findUser } from "../image/accounts.ts";
import { writeExt4 } from "../image/filesystem/ext4.ts";
import type { ImageContents } from "../image/image-contents.ts";
import { ContentStore } from "../image/layers/content.ts";
import { plainDirectory } from "../image/layers/tree.ts";
import type { Spec } from "../oci/runtime-spec.ts";
import { bootSource, copyFiles } from "./boot-source.ts";
import { type AnnotatedImage, bootAnnotations } from "./brought.ts";
import { addMachine } from "./catalog.ts";
import { BUNDLE, type Machine, UPPER } from "./machine.ts";
import { newId } from "./names.ts";
import type { Places } from "./places.ts";
import { claimPorts } from "./ports.ts";
import type { RunRequest } from "./request.ts";
import type { Root } from "./roots.ts";
import { signalNumber } from "./signals.ts";
import { hostsFile, machineSpec, OWN_ROOTFS } from "./spec.ts";

const SIGTERM = 15;

/** A machine that is there and does not run yet, with its lock. */
export interface MadeMachine {
  machine: Machine;
  lock: number;
}

export interface MakeOptions {
  /** Bytes that what the machine changes may take: it is kept in {@link Machine.upper} (default: its memory). */
  upper?: number;
  /** Changes the specification that the image and the request come to. */
  adjust?(spec: Spec): Spec;
}

/**
 * Makes a machine of an image and a request: its record and its bundle.
 *
 * @throws UruncError `usage`, `id-in-use`, `network`, `file-system`; nothing is left then
 */
export async function makeMachine(
  request: RunRequest,
  image: Pick<ImageContents, "name" | "descriptor" | "config"> & AnnotatedImage,
  root: Pick<Root, "path" | "brought" | "accounts">,
  places: Places,
  { upper, adjust = (spec) => spec }: MakeOptions = {},
): Promise<MadeMachine> {
  const id = newId();
  const hostname = request.hostname ?? id.slice(0, 12);
  const { process } = image.config;
  const user = findUser(request.user ?? process.user ?? "", root.accounts);
  const ports = await claimPorts(request.ports);
  const directory = join(places.machines, id);
  const bundle = join(directory, BUNDLE);
  const upperFile = join(directory, UPPER);
  const files = {
    resolvConf: join(bundle, "resolv.conf"),
    hostname: join(bundle, "hostname"),
    hosts: join(bundle, "hosts"),
  };
  const { copied, ...boot } = bootSource(root, bootAnnotations(image));
  const spec = adjust(
    machineSpec({
      ...{ id, request, image: process, user, hostname, ports, files, ...boot },
      ...(upper === undefined ? {} : { upper: upperFile }),
    }),
  );
  const made = await addMachine(places, {
    version: 1,
    id,
    ...(request.name === undefined ? {} : { name: request.name }),
    created: new Date().toISOString(),
    image: { name: image.name, digest: image.descriptor.digest },
    args: spec.process.args,
    detached: request.detach,
    terminal: request.terminal,
    interactive: request.interactive,
    remove: request.remove,
    network: request.network,
    ports,
    labels: { ...process.labels, ...request.labels },
    stopSignal: request.stopSignal ?? (process.stopSignal ? signalNumber(process.stopSignal) : SIGTERM),
    accounts: root.accounts,
    root: dirname(root.path),
  });
  try {
    mkdirSync(join(bundle, OWN_ROOTFS), { recursive: true });
    if (copied !== undefined) await copyFiles(copied, join(bundle, OWN_ROOTFS));
    for (const { source } of request.volumes) makeVolume(source);
    if (upper !== undefined) writeEmptyExt4(upperFile, upper);
    writeFileSync(files.resolvConf, hostResolvers());
    writeFileSync(files.hostname, `${hostname}\n`);
    writeFileSync(files.hosts, hostsFile(hostname, request.network));
    writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
  } catch (error) {
    made.machine.removeFiles();
    throw error;
  }
  return made;
}

function writeEmptyExt4(path: string, size: number): void {
  const store = new ContentStore();
  try {
    writeExt4(plainDirectory(), store, path, { size });
  } finally {
    store.close();
  }
}

/** As Docker makes the source of a `--volume` that is not there. */
function makeVolume(source: string): void {
  try {
    mkdirSync(source, { recursive: true });
  } catch (cause) {
    // It is a file, which can be a volume too.
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return;
    throw new UruncError(
      "usage",
      `error while creating mount source path '${source}': ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

/** The guest reaches the host's resolvers through the monitor; those on loopback addresses are carried to it. */
function hostResolvers(): string {
  try {
    return readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    return "";
  }
}
