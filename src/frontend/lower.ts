import type { Source } from "../bunnyfile/bunnyfile.ts";
import {
  type ImagePlan,
  KERNEL_CONFIG_PATH,
  KERNEL_PATH,
  ROOTFS_PATH,
  URUNC_JSON_PATH,
  URUNIT_PATH,
  uruncJson,
} from "../bunnyfile/plan.ts";
import { type Platform, platformName } from "../image/spec/platform.ts";
import { familiarName, formatReference, type Reference } from "../image/spec/reference.ts";
import { BUNNY, SHARE } from "./image-layout.ts";
import { change, type FileChange, type Output, run, type StepOptions, source } from "./llb.ts";

/** What a plan is made of on BuildKit's side. */
export interface Materials {
  /** The frontend's own image, for the platform that programs of the build run on: ours is in it. */
  frontend: Output;
  /** Where programs of the build run. */
  platform: Platform;
  /** The build's context; its name in BuildKit's session, and which session, as far as they are known. */
  context: { name: string; session: string | undefined };
  /** Images of the plan by their whole names, as they shall be asked for; those that are missing as they are called. */
  pinned: ReadonlyMap<string, string>;
  /** Of `image.resolvemode`. */
  resolveMode: string;
  /** Seconds since 1970 of what the build makes and takes from the context. */
  time: number;
  /** `SOURCE_DATE_EPOCH` is that time: nothing of a root that is made is newer. */
  clamps: boolean;
  ignoreCache: boolean;
  /** Steps say which platform they are for. */
  severalPlatforms: boolean;
}

/** The steps of one image, as they are asked for. */
export class Lowering {
  readonly #plan: ImagePlan;
  readonly #materials: Materials;

  constructor(plan: ImagePlan, materials: Materials) {
    this.#plan = plan;
    this.#materials = materials;
  }

  /** What is at a source's path, once it is looked at. */
  origin(of: Source): Output {
    return of.kind === "local" ? this.#context() : this.image(of.reference.value);
  }

  /** An image that the plan names. */
  image(reference: Reference): Output {
    const { pinned, resolveMode } = this.#materials;
    const name = formatReference(reference);
    return imageSource(
      pinned.get(name) ?? name,
      resolveMode,
      this.#step("base", familiarName(reference), this.#plan.platform),
    );
  }

  /** The machine's own files, if the image's are those: the base, and what is included. Undefined for nothing. */
  files(): Output | undefined {
    const { rootfs, includes, platform } = this.#plan;
    const base =
      (rootfs.kind === "raw" || rootfs.kind === "made") && rootfs.base !== undefined
        ? this.image(rootfs.base.value)
        : undefined;
    if (includes.length === 0) return base;
    const changes = includes.map(
      ({ source: from, destination }): FileChange => ({
        kind: "copy",
        from: this.origin(from),
        source: from.path.value,
        destination: destination.value,
        mode: -1,
        // Files of the context are root's, with the build's time; those of images stay as they are.
        time: from.kind === "local" ? this.#materials.time : undefined,
      }),
    );
    const names = includes.map(({ source: from }) => from.path.value).join(", ");
    return change(base, changes, this.#step("files", `include ${names}`, platform));
  }

  /**
   * All of the image.
   *
   * @param urunit what `addsUrunit` says
   * @param text the build file's, of which a root in a file is made
   */
  all(urunit: boolean, text: string): Output {
    const { rootfs, annotations, platform } = this.#plan;
    const { kind } = rootfs;
    const root =
      kind === "raw" ? this.files() : kind === "none" ? undefined : this.#rootFile(urunit, text, rootfs.type);
    return bootFiles(this.#kernel(root), {
      urunit,
      annotations,
      frontend: this.#materials.frontend,
      time: this.#materials.time,
      step: this.#step("boot", `${urunit ? "our init and " : ""}${URUNC_JSON_PATH}`, platform),
    });
  }

  #kernel(onto: Output | undefined): Output {
    const { kernel, kernelConfig, platform } = this.#plan;
    const { frontend, time } = this.#materials;
    const place = (from: Output, path: string, destination: string) => ({ from, path, destination });
    if (kernel.kind === "builtin") {
      return addKernel(onto, {
        files: ourKernel(frontend),
        time,
        step: this.#step("kernel", `ours at ${KERNEL_PATH}`, platform),
      });
    }
    const files = [place(this.origin(kernel), kernel.path.value, KERNEL_PATH)];
    if (kernelConfig !== undefined) {
      const { path } = kernelConfig.source;
      files.push(place(this.origin(kernelConfig.source), path.value, KERNEL_CONFIG_PATH));
    }
    const step = this.#step("kernel", `${kernel.path.value} at ${KERNEL_PATH}`, platform);
    return addKernel(onto, { files, time, step });
  }

  /** The initrd or block image at its place, made by our own program: see `root.ts`. */
  #rootFile(urunit: boolean, text: string, type: "initrd" | "block"): Output {
    const { rootfs, includes, name, platform } = this.#plan;
    const { frontend, time, clamps, platform: worker, ignoreCache } = this.#materials;
    const build = { platform: worker, ignoreCache };
    const file = change(
      undefined,
      [{ kind: "file", path: "/bunnyfile", mode: 0o644, time: 0, data: Buffer.from(text) }],
      { name: this.#called(type, `hand ${name} over`), ...build },
    );
    const mounts: { from: Output; at: string }[] = [{ from: file, at: ROOT_PLACES.file }];
    const sources = [
      ...(rootfs.kind === "file" ? [rootfs.source] : []),
      ...includes.map(({ source: from }) => from),
    ];
    if (sources.some(({ kind }) => kind === "local")) {
      mounts.push({ from: this.#context(), at: ROOT_PLACES.context });
    }
    const references = sources.flatMap((one) => (one.kind === "image" ? [one.reference.value] : []));
    if (rootfs.kind === "made" && rootfs.base !== undefined) references.push(rootfs.base.value);
    const images = new Map(references.map((reference) => [formatReference(reference), reference]));
    const flags = [...images].flatMap(([called, reference], index) => {
      const at = `${ROOT_PLACES.images}/${index}`;
      mounts.push({ from: this.image(reference), at });
      return [`--image=${called}=${at}`];
    });
    const of =
      rootfs.kind === "made" && rootfs.base !== undefined ? ` of ${familiarName(rootfs.base.value)}` : "";
    return run(
      {
        args: [
          ...[BUNNY, "frontend", "root", "--file", `${ROOT_PLACES.file}/bunnyfile`, `--name=${name}`],
          ...["--platform", platformName(platform), ...(urunit ? ["--urunit"] : []), ...flags],
          ...["--output", `${ROOT_PLACES.result}${ROOTFS_PATH}`],
        ],
        env: ["PATH=/usr/bin:/usr/sbin", ...(clamps ? [`SOURCE_DATE_EPOCH=${time}`] : [])],
        root: frontend,
        mounts,
        result: ROOT_PLACES.result,
      },
      { name: this.#called(type, `make ${ROOTFS_PATH}${of}`), ...build },
    );
  }

  #context(): Output {
    const { name, session } = this.#materials.context;
    const paths = this.#localPaths();
    // Patterns are what BuildKit takes paths for.
    const isWhole = paths.some((path) => path === "." || /[*?[\\]/.test(path));
    return source(
      `local://${name}`,
      {
        ...(isWhole ? {} : { "local.followpaths": JSON.stringify(paths) }),
        ...(session === undefined ? {} : { "local.session": session }),
        "local.sharedkeyhint": name,
      },
      this.#step("context", "load the build's context", this.#materials.platform),
    );
  }

  #localPaths(): string[] {
    const { kernel, kernelConfig, rootfs, includes } = this.#plan;
    const sources = [kernel, kernelConfig?.source, rootfs.kind === "file" ? rootfs.source : undefined];
    const all = [...sources, ...includes.map(({ source: from }) => from)];
    return [...new Set(all.flatMap((one) => (one?.kind === "local" ? [one.path.value] : [])))].sort();
  }

  #step(part: string, what: string, platform: Platform): StepOptions {
    return { name: this.#called(part, what), platform, ignoreCache: this.#materials.ignoreCache };
  }

  #called(part: string, what: string): string {
    const prefix = this.#materials.severalPlatforms ? `${platformName(this.#plan.platform)} ` : "";
    return `[${prefix}${part}] ${what}`;
  }
}

/** Where the program that makes a root finds what it needs. */
const ROOT_PLACES = {
  file: "/work/file",
  context: "/work/context",
  images: "/work/images",
  result: "/work/result",
} as const;
/** The build's context there; without files of it there is none. */
export const ROOT_CONTEXT = ROOT_PLACES.context;

/** An image of a registry, or of the daemon. */
export function imageSource(name: string, resolveMode: string, step: StepOptions): Output {
  const { ignoreCache: _, ...rest } = step;
  const attributes: Record<string, string> =
    resolveMode === "default" ? {} : { "image.resolvemode": resolveMode };
  return source(`docker-image://${name}`, attributes, rest);
}

interface KernelFiles {
  files: readonly { from: Output; path: string; destination: string }[];
  time: number;
  step: StepOptions;
}

/** Our kernel and its configuration, of the frontend's image. */
export function ourKernel(frontend: Output): KernelFiles["files"] {
  return [
    { from: frontend, path: `${SHARE}/vmlinux`, destination: KERNEL_PATH },
    { from: frontend, path: `${SHARE}/kernel.config`, destination: KERNEL_CONFIG_PATH },
  ];
}

/** Puts a kernel where it is booted from: one layer. */
export function addKernel(onto: Output | undefined, { files, time, step }: KernelFiles): Output {
  const changes: FileChange[] = [{ kind: "directory", path: "/.boot", mode: 0o755, time }];
  for (const { from, path, destination } of files) {
    changes.push({ kind: "copy", from, source: path, destination, mode: 0o644, time });
  }
  return change(onto, changes, step);
}

interface BootFiles {
  urunit: boolean;
  annotations: Readonly<Record<string, string>>;
  frontend: Output;
  time: number;
  step: StepOptions;
}

/** Puts our init, where it is wanted, and what runtimes read into an image: one layer. */
export function bootFiles(
  onto: Output | undefined,
  { urunit, annotations, frontend, time, step }: BootFiles,
): Output {
  const changes: FileChange[] = [];
  if (urunit) {
    const from = { from: frontend, source: `${SHARE}/urunit`, destination: URUNIT_PATH };
    changes.push({ kind: "copy", ...from, mode: 0o755, time });
  }
  const data = Buffer.from(uruncJson(annotations));
  changes.push({ kind: "file", path: URUNC_JSON_PATH, mode: 0o644, time, data });
  return change(onto, changes, step);
}
