import { chmodSync, constants, copyFileSync, mkdirSync, statfsSync, statSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { configOfContainer } from "../config/annotations.ts";
import { type Config, type MonitorConfig, monitorConfig } from "../config/config.ts";
import { cacheDirectory } from "../config/own-directories.ts";
import { findShareFiles, kernelRelease, type ShareFiles } from "../config/share.ts";
import { refuseUncarried } from "../container/carried.ts";
import { refuseForDirect } from "../container/direct.ts";
import {
  ContainerDirectory,
  type ContainerRecord,
  RECORD_VERSION,
  requireWritableRoot,
  type VmRecord,
  writeAtomically,
} from "../container/directory.ts";
import { type GuestPlan, isBind, planGuest } from "../container/guest-plan.ts";
import { guestKind } from "../container/kind.ts";
import { missingProgram } from "../container/missing-program.ts";
import { refuseNotCarriedOver } from "../container/not-carried-over.ts";
import { containerRootfs, makeMountPoint, resolveMountPoint } from "../container/root-directory.ts";
import { ordinaryUser, rootlessSandbox } from "../container/rootless.ts";
import { SANDBOX_ROOT, sandboxSpec } from "../container/sandbox.ts";
import { containerShareWay } from "../container/share-way.ts";
import { type FileSystem, withOwnSharedMemory } from "../container/shared-memory.ts";
import { vmSpec } from "../container/vm.ts";
import { UruncError } from "../errors.ts";
import { encodeMachine } from "../guest/machine.ts";
import { encodeProcess } from "../guest/process.ts";
import { type AccelerationDecision, hostAcceleration } from "../monitor/acceleration.ts";
import { instead, type MonitorChoice } from "../monitor/choose.ts";
import type { ShareWay } from "../monitor/file-server.ts";
import { findMonitor } from "../monitor/find.ts";
import { locateMonitor } from "../monitor/locate.ts";
import { MONITORS } from "../monitor/monitors.ts";
import { ensureMonitorTree } from "../monitor/tree.ts";
import { hostTscKhz } from "../monitor/tsc-rate.ts";
import type { Acceleration, MonitorName } from "../monitor/vm-spec.ts";
import { checkContainerId } from "../oci/container-id.ts";
import { stringifyExactly } from "../oci/exact-json.ts";
import type { Hook, Spec } from "../oci/runtime-spec.ts";
import { applicationWords } from "../rootfs/application.ts";
import { type ImageRequest, makeImageRoot } from "../rootfs/automatic.ts";
import type { ChosenWay } from "../rootfs/choose.ts";
import type { ContainerImages } from "../rootfs/container-images.ts";
import { decideGuest, type Surroundings } from "../rootfs/decide.ts";
import { explainGuest, explanationLine } from "../rootfs/explain.ts";
import { readImageWish } from "../rootfs/image-files.ts";
import type { RootWay } from "../rootfs/source.ts";
import type { ImageWish } from "../rootfs/wish.ts";
import { compileFilter } from "../seccomp/filter.ts";
import { type Context, defaultRoot } from "./context.ts";
import { inheritedLimits, type ResourceLimits } from "./inherited-limits.ts";
import { withPodSysctls } from "./pod-sysctls.ts";
import { readSpec } from "./read-spec.ts";
import { sharedHostname } from "./shared-hostname.ts";
import { standardInputIsNull } from "./standard-input.ts";

/** Where the monitor's trees are kept, shared by all containers of a user whatever their root. */
const MONITOR_TREES = "/var/lib/urunc/monitors";
const OWN_MONITOR_TREES = "urunc/monitors";

export interface PrepareOptions {
  id: string;
  /** The caller's bundle. */
  bundle: string;
  /** Another file in the place of the bundle's `config.json` (crun's `run --config`). */
  configFile?: string;
  /** The machine is to end with this process, however that ends. */
  attached?: boolean;
  /** Hooks to run behind the container's own, once its network namespace is final. */
  createRuntimeHook?: Hook;
}

/** A container's state directory, made, and the bundle that the engine is to be given. */
export interface Prepared {
  directory: ContainerDirectory;
  record: ContainerRecord;
  engineBundle: string;
}

/**
 * Decides what a container becomes and writes its state directory: for a virtual machine with the sandbox's bundle,
 * else only the record that it is the engine's. Whatever fails leaves nothing behind.
 *
 * @throws UruncError
 */
export async function prepareContainer(context: Context, options: PrepareOptions): Promise<Prepared> {
  const id = checkContainerId(options.id);
  const bundle = resolve(options.bundle);
  const directory = new ContainerDirectory(context.root, id);
  requireWritableRoot(context.root);
  const given = readSpec(bundle, options.configFile);
  const wish = readImageWish(given.annotations ?? {}, resolve(bundle, given.root.path));
  const asked = withOwnSharedMemory(given, lookAtFileSystem);
  const { kind, reason } = guestKind(asked, context.config.unannotated, wish !== undefined);
  context.log.debug(`the container is ${kind === "vm" ? "a machine" : "the engine's own"}: ${reason}`);
  if (kind === "engine") {
    return prepareEngineContainer(directory, given, bundle, options.configFile !== undefined);
  }
  for (const warning of context.configWarnings) context.log.warning(warning);
  const config = configOfContainer(context.config, given.annotations);
  const acceleration = hostAcceleration(config.acceleration);
  const choice = findMonitor(config, wish?.hypervisor, acceleration);
  for (const warning of choice.warnings) context.log.warning(warning);
  const container = { bundle, directory, asked, wish, config, acceleration };
  try {
    return await prepareMachine(context, options, container, choice);
  } catch (error) {
    if (!choice.yields || !(error instanceof UruncError) || error.code !== "not-supported") throw error;
    const other = instead(choice.name, `cannot run it (${error.message})`);
    for (const warning of other.warnings) context.log.warning(warning);
    return await prepareMachine(context, options, container, other);
  }
}

/** What is known of a container before anything is decided. */
interface Container {
  bundle: string;
  directory: ContainerDirectory;
  /** What the caller asks for. */
  asked: Spec;
  wish: ImageWish | undefined;
  /** With what the container's annotations change. */
  config: Config;
  acceleration: AccelerationDecision;
}

async function prepareMachine(
  context: Context,
  options: PrepareOptions,
  { bundle, directory, asked, wish, config, acceleration }: Container,
  choice: MonitorChoice,
): Promise<Prepared> {
  const monitorName = choice.name;
  const own = monitorConfig(config, monitorName);
  const rootfs = containerRootfs(bundle, asked.root.path);
  const share = containerShareWay(config, MONITORS[monitorName]);
  const files = findShareFiles(config.share);
  const chosen = chooseWay(context, asked, {
    bundle,
    wish,
    rootfs,
    files,
    share,
    monitor: choice,
    own: config.rootfs,
  });
  const spec = withPodSysctls(guestSpec(asked, chosen), context.root);
  if (share.kind === "initramfs") refuseUncarried(spec);
  refuseStartContainerHooks(spec);
  refuseNotCarriedOver(spec);
  const hasFiles = chosen.snapshot !== undefined || ["share", "image"].includes(chosen.root.kind);
  if (hasFiles && !chosen.direct) refuseMissingProgram(spec, rootfs);
  const made = await makeRoot(chosen, {
    rootfs,
    owner: directory.path,
    config: config.rootfs,
    log: (sentence) => context.log.debug(sentence),
  });
  try {
    const { kernel } = chosen;
    const way = withOwnKernel(made.way, directory);
    const parts = {
      spec,
      config,
      acceleration,
      monitorName,
      own,
      rootfs,
      share,
      files,
      ...made,
      way,
      kernel,
    };
    const prepared = await writeMachine(context, { ...options, bundle }, directory, parts);
    made.images?.settle();
    return prepared;
  } catch (error) {
    made.images?.remove();
    throw error;
  }
}

/** What a machine is made of, once its root is there. */
interface MachineParts extends MadeRoot {
  spec: Spec;
  config: Config;
  acceleration: AccelerationDecision;
  monitorName: MonitorName;
  own: MonitorConfig;
  rootfs: string;
  share: ShareWay;
  files: ShareFiles;
  /** The one that the image brings, in the image. */
  kernel: string | undefined;
}

/** What is decided, with files in the place of what was to be made. */
interface MadeRoot {
  way: RootWay;
  images?: ContainerImages;
}

async function makeRoot(chosen: ChosenWay, request: Omit<ImageRequest, "wanted">): Promise<MadeRoot> {
  const { root: wanted, ...rest } = chosen;
  if (wanted.kind !== "image") return { way: { ...rest, root: wanted } };
  const { root, images } = await makeImageRoot({ ...request, wanted });
  return { way: { ...rest, root }, images };
}

async function writeMachine(
  context: Context,
  options: PrepareOptions,
  directory: ContainerDirectory,
  parts: MachineParts,
): Promise<Prepared> {
  const { spec, config, acceleration, monitorName, own, rootfs, share, files, way, images, kernel } = parts;
  const { bundle } = options;
  const user = ordinaryUser();
  if (way.direct) refuseForDirect(spec, way.root.kind);
  const hostname = sharedHostname(spec);
  const plan = planGuest(spec, own, hostname, share.kind, way);
  refuseMissingSources(bundle, plan);
  const program = locateMonitor(monitorName, own.path);
  const firmware = monitorName === "qemu" ? config.qemu.dataPath : undefined;
  const filter = await compileFilter(spec.linux?.seccomp);
  const record: VmRecord = {
    version: RECORD_VERSION,
    kind: "vm",
    id: directory.id,
    bundle,
    spec: withoutProfile(spec),
    ...(filter ? { filter } : {}),
    hostname,
    monitor: monitorName,
    program,
    ...(firmware === undefined ? {} : { firmware }),
    acceleration: chooseAcceleration(context, acceleration, files.standin),
    share,
    way,
    ...(images === undefined ? {} : { images: images.path }),
    ...(share.kind === "initramfs" && plan.binds.length > 0 ? { initramfs: files.initramfs } : {}),
    memoryMiB: plan.size.memoryMiB,
    vcpus: plan.size.vcpus,
    bootTimeout: config.bootTimeout,
    limits: inheritedLimits(),
    ...(options.attached ? { attached: true } : {}),
    noStdin: standardInputIsNull(),
  };
  // Encoded for what they refuse: an error belongs to create, not to start.
  encodeMachine(plan.machine, { kind: "none" });
  encodeProcess(spec.process, { filter });
  const network =
    plan.network.kind === "host" ? { kind: "user" as const, mac: "" } : { kind: "tap" as const, taps: [] };
  const monitor = MONITORS[monitorName].plan(vmSpec(record, network));
  const tree = await ensureMonitorTree({
    program,
    helpers: monitor.fileServer !== undefined && share.kind === "virtiofs" ? [share.server.program] : [],
    isQemu: monitorName === "qemu",
    firmware,
    cacheRoot: user === undefined ? MONITOR_TREES : cacheDirectory(OWN_MONITOR_TREES),
  });
  directory.make();
  try {
    directory.write(record);
    makeSandboxRoot(directory);
    if (way.snapshot && kernel !== undefined && way.kernel !== undefined) {
      copyFileSync(kernel, way.kernel, constants.COPYFILE_FICLONE);
      chmodSync(way.kernel, 0o400);
    }
    // An overlay's is read-only when the guest has made them.
    if (spec.root.readonly && way.root.kind === "share" && !way.direct) {
      makeMountPoints(rootfs, bundle, plan);
      makeWorkingDirectory(rootfs, spec);
    }
    const paths = {
      bundle,
      containerRootfs: rootfs,
      rootfs: directory.rootfs,
      vm: directory.vm,
      files: files.directory,
      monitorTree: tree,
    };
    const placed = plan.sharesRoot ? withMountPoints(plan, rootfs, bundle) : withoutUnshared(plan, share);
    const all = sandboxSpec(spec, placed, monitor, paths, openFilesLimit(record.limits));
    const sandbox = user === undefined ? all : rootlessSandbox(all, user);
    if (options.createRuntimeHook) addHook(sandbox, options.createRuntimeHook);
    writeAtomically(join(directory.bundle, "config.json"), JSON.stringify(sandbox));
  } catch (error) {
    directory.remove();
    throw error;
  }
  return { directory, record, engineBundle: directory.bundle };
}

/** The engine takes no other file than the bundle's `config.json`, so that another becomes one. */
function prepareEngineContainer(
  directory: ContainerDirectory,
  spec: Spec,
  bundle: string,
  rewrite: boolean,
): Prepared {
  const record: ContainerRecord = { version: RECORD_VERSION, kind: "engine", id: directory.id, bundle };
  directory.make();
  directory.write(record);
  if (!rewrite) return { directory, record, engineBundle: bundle };
  const root = { ...spec.root, path: resolve(bundle, spec.root.path) };
  const mounts = (spec.mounts ?? []).map((mount) =>
    isBind(mount) ? { ...mount, source: resolve(bundle, mount.source ?? "") } : mount,
  );
  mkdirSync(directory.bundle, { mode: 0o700 });
  writeAtomically(join(directory.bundle, "config.json"), stringifyExactly({ ...spec, root, mounts }));
  return { directory, record, engineBundle: directory.bundle };
}

function chooseAcceleration(context: Context, decision: AccelerationDecision, standin: string): Acceleration {
  if (decision.kind === "kvm") return decision;
  context.log.warning(`the virtual machine's processor is emulated, which is slow: ${decision.reason}`);
  return { kind: "tcg", tscKhz: hostTscKhz(defaultRoot(), standin) };
}

/** Of a root that the host will not have any more the kernel is a copy, so that the root stays as it is. */
function withOwnKernel(way: RootWay, directory: ContainerDirectory): RootWay {
  return way.snapshot && way.kernel !== undefined ? { ...way, kernel: join(directory.path, "kernel") } : way;
}

/** What the guest is to run, and whether its root is written to. */
function guestSpec(asked: Spec, { direct, snapshot }: ChosenWay): Spec {
  const spec = snapshot?.readOnly ? { ...asked, root: { ...asked.root, readonly: true } } : asked;
  if (direct) return spec;
  return { ...spec, process: { ...spec.process, args: applicationWords(spec.process.args) } };
}

/** The decision, with what led to it in the log. */
function chooseWay({ log }: Context, spec: Spec, circumstances: Circumstances): ChosenWay {
  const { wish, files, share, monitor, ...places } = circumstances;
  const choice = decideGuest(spec, wish, { ...places, files: files.directory, share: share.kind });
  log.debug(() => {
    const own = { path: files.kernel, release: kernelRelease(files.directory) };
    const hasBinds = (spec.mounts ?? []).some(isBind);
    return explanationLine(explainGuest({ choice, monitor, wish, share, hasBinds, own }));
  });
  return choice.way;
}

interface Circumstances extends Pick<Surroundings, "bundle" | "own" | "rootfs"> {
  wish: ImageWish | undefined;
  files: ShareFiles;
  share: ShareWay;
  monitor: MonitorChoice;
}

function withoutProfile(spec: Spec): Spec {
  if (!spec.linux?.seccomp) return spec;
  const { seccomp: _, ...linux } = spec.linux;
  return { ...spec, linux };
}

/** Such a hook runs inside the container just before its process: that place is in the guest, where no hook can be. */
function refuseStartContainerHooks(spec: Spec): void {
  if ((spec.hooks?.["startContainer"] ?? []).length > 0) {
    throw new UruncError(
      "not-supported",
      "hooks.startContainer cannot run inside a virtual machine: use createRuntime, poststart or poststop hooks",
    );
  }
}

function refuseMissingProgram(spec: Spec, rootfs: string): void {
  const sentence = missingProgram(spec, rootfs);
  if (sentence !== undefined) throw new UruncError("bundle-invalid", sentence);
}

/** All that this process may open itself: each file that the guest has open is one of the monitor's. */
function openFilesLimit(limits: ResourceLimits): number {
  return limits.find(({ type }) => type === "RLIMIT_NOFILE")?.hard ?? 1024;
}

function makeSandboxRoot(directory: ContainerDirectory): void {
  mkdirSync(directory.bundle, { mode: 0o700 });
  mkdirSync(directory.vm, { mode: 0o700 });
  mkdirSync(directory.rootfs, { mode: 0o755 });
  for (const path of SANDBOX_ROOT.directories) mkdirSync(join(directory.rootfs, path), { recursive: true });
  for (const [path, target] of SANDBOX_ROOT.links) symlinkSync(target, join(directory.rootfs, path));
}

/** What is bound into a root that is shared as it is, at its places there: the engine knows no links of the image's. */
function withMountPoints(plan: GuestPlan, rootfs: string, bundle: string): GuestPlan {
  const binds = plan.binds.map(({ mount }) => ({
    mount,
    path: resolveMountPoint(rootfs, mount.destination, isDirectory(resolve(bundle, mount.source ?? ""))),
  }));
  return { ...plan, binds };
}

/** What is copied to the guest is not for the monitor. */
function withoutUnshared(plan: GuestPlan, share: ShareWay): GuestPlan {
  return share.kind === "initramfs" ? { ...plan, binds: [] } : plan;
}

function makeMountPoints(rootfs: string, bundle: string, plan: GuestPlan): void {
  const sources = new Map(plan.binds.map(({ path, mount }) => [path, mount.source ?? ""]));
  for (const mount of plan.machine.mounts) {
    const source = mount.kind === "share" ? sources.get(mount.source) : undefined;
    makeMountPoint(rootfs, mount.destination, source === undefined || isDirectory(resolve(bundle, source)));
  }
}

/** As runc, whose root is not read-only yet when it makes the directory; below a mount it is the guest's to make. */
function makeWorkingDirectory(rootfs: string, { process: { cwd }, mounts = [] }: Spec): void {
  const isMounted = mounts.some(({ destination }) => `${cwd}/`.startsWith(`${destination}/`));
  if (!isMounted) makeMountPoint(rootfs, cwd, true);
}

/** The sandbox's own mount would fail too, with a sentence about a place that the caller does not know. */
function refuseMissingSources(bundle: string, plan: GuestPlan): void {
  for (const { mount } of plan.binds) {
    const source = resolve(bundle, mount.source ?? "");
    if (statSync(source, { throwIfNoEntry: false }) !== undefined) continue;
    throw new UruncError(
      "bundle-invalid",
      "unable to start container process: error during container init: " +
        `error mounting ${JSON.stringify(mount.source)} to rootfs at ${JSON.stringify(mount.destination)}: ` +
        `stat ${source}: no such file or directory`,
    );
  }
}

function lookAtFileSystem(path: string): FileSystem | undefined {
  try {
    const { type, bsize, blocks } = statfsSync(path);
    return { type, size: bsize * blocks };
  } catch {
    // The mount itself says what is wrong.
    return undefined;
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return true;
  }
}

function addHook(sandbox: Spec, hook: Hook): void {
  sandbox.hooks = { ...sandbox.hooks, createRuntime: [...(sandbox.hooks?.["createRuntime"] ?? []), hook] };
}
