import {
  ANNOTATION_PREFIX,
  ARCHITECTURES,
  type Architecture,
  type Bunnyfile,
  FRAMEWORKS,
  type Framework,
  type Include,
  type KernelSource,
  MONITORS,
  type Monitor,
  type Rootfs,
} from "./bunnyfile.ts";
import { splitCommandLine } from "./command-line.ts";
import { readIncludes } from "./include.ts";
import { type Located, wrongAt } from "./position.ts";
import { type Field, YamlReader } from "./reader.ts";
import { readRootfs } from "./rootfs.ts";
import { localPath, pathInImage, referenceOf } from "./source.ts";
import { checkVersion } from "./version.ts";

const KEYS = [
  "version",
  "platforms",
  "kernel",
  "rootfs",
  "cmd",
  "entrypoint",
  "envs",
  "cmdline",
  "annotations",
  "urunit",
] as const;

/** Other words for processors: those of `uname -m`, and the guide's. */
const OTHER_WORDS: Readonly<Record<string, Architecture>> = {
  x86: "amd64",
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
};

/** What an image's other parts say, and nobody else may. */
const MADE_ANNOTATIONS: Readonly<Record<string, string>> = {
  unikernelType: "platforms.framework",
  unikernelVersion: "platforms.version",
  hypervisor: "platforms.monitor",
  binary: "kernel",
  cmdline: "cmd",
  initrd: "rootfs",
  block: "rootfs",
  blkMntPoint: "rootfs",
  mountRootfs: "rootfs",
};

/**
 * Parses and checks a bunnyfile (docs/build.md). Nothing but its text is looked at.
 *
 * @param name of the file, for sentences
 * @throws UruncError `build-file` with file, line and column of what is wrong
 */
export function parseBunnyfile(text: string, name: string): Bunnyfile {
  const read = new YamlReader(text, name);
  const root = read.root(KEYS);
  const start = { line: 1, column: 1 };
  const required = (fields: Map<string, Field>, key: string, at: Located<string>, why: string): Field => {
    const field = fields.get(key);
    if (field !== undefined) return field;
    throw read.wrong(at.at, `${at.value} lacks the key ${key}: ${why}`);
  };
  const file = { value: "the file", at: start };

  checkVersion(read, read.word(required(root, "version", file, "version: v0.1")));

  const platforms = required(root, "platforms", file, "it says what the image runs on");
  const platform = read.mapping(platforms, ["framework", "version", "monitor", "architecture"]);
  const framework = read.oneOf<Framework>(
    required(platform, "framework", platforms.key, "framework: linux"),
    FRAMEWORKS,
  );
  const monitorField = required(platform, "monitor", platforms.key, "monitor: qemu");
  const monitor = read.oneOf<Monitor>(monitorField, MONITORS);
  if (framework.value === "linux" && (monitor.value === "hvt" || monitor.value === "spt")) {
    throw read.wrong(monitor.at, `linux does not run on ${monitor.value}: name qemu or firecracker`);
  }
  const version = platform.get("version");
  const architectures = readArchitectures(read, platform.get("architecture"));

  const kernel = readKernel(read, required(root, "kernel", file, "from: builtin is ours"), architectures);
  const { rootfs, include } = readRootfs(read, root.get("rootfs"), framework.value);
  const includes = readIncludes(read, include);
  const { cmd, warnings } = readCommand(read, root, name);
  const entrypoint = root.get("entrypoint");
  const envs = root.get("envs");
  const annotations = root.get("annotations");
  const urunit = root.get("urunit");
  const isLinux = framework.value === "linux";
  if (urunit !== undefined && !isLinux && read.boolean(urunit)) {
    throw read.wrong(urunit.key.at, `urunit is an init for linux, and ${framework.value} has none`);
  }
  return {
    name,
    framework: framework.value,
    ...(version === undefined ? {} : { frameworkVersion: read.word(version).value }),
    monitor: monitor.value,
    architectures,
    ...kernel,
    // Of nothing nothing is made, and only Linux needs a root at all.
    rootfs: !isLinux && isEmpty(rootfs, includes) ? { kind: "none" } : rootfs,
    includes,
    ...(urunit === undefined ? {} : { urunit: read.boolean(urunit) }),
    ...(entrypoint === undefined ? {} : { entrypoint: read.texts(entrypoint).map(({ value }) => value) }),
    ...(cmd === undefined ? {} : { cmd }),
    env: envs === undefined ? [] : readEnvironment(read, envs),
    annotations: annotations === undefined ? {} : readAnnotations(read, annotations),
    warnings,
  };
}

function isEmpty(rootfs: Rootfs, includes: readonly Include[]): boolean {
  const hasBase = rootfs.kind === "file" || (rootfs.kind !== "none" && rootfs.base !== undefined);
  return !hasBase && includes.length === 0;
}

function readArchitectures(read: YamlReader, field: Field | undefined): Located<Architecture>[] {
  if (field === undefined) return [];
  const words = read.isList(field) ? read.list(field).map((one) => read.word(one)) : [read.word(field)];
  if (words.length === 0)
    throw read.wrong(field.key.at, "architecture is an empty list: name one, or leave it out");
  const found: Located<Architecture>[] = [];
  for (const { value, at } of words) {
    const word = value.toLowerCase();
    const architecture = OTHER_WORDS[word] ?? ARCHITECTURES.find((known) => known === word);
    if (architecture === undefined) {
      const known = [...ARCHITECTURES, ...Object.keys(OTHER_WORDS)].sort();
      throw read.wrong(
        at,
        `the architecture ${JSON.stringify(value)} is not known: known are ${known.join(", ")}`,
      );
    }
    if (found.some((one) => one.value === architecture)) {
      throw read.wrong(at, `the architecture ${architecture} is there twice`);
    }
    found.push({ value: architecture, at });
  }
  return found;
}

function readKernel(
  read: YamlReader,
  field: Field,
  architectures: readonly Located<Architecture>[],
): { kernel: KernelSource; kernelConfig?: Located<string> } {
  const fields = read.mapping(field, ["from", "path", "config"]);
  const fromField = fields.get("from");
  if (fromField === undefined) {
    throw read.wrong(field.key.at, "kernel lacks the key from: it is local, builtin or an image's name");
  }
  const from = read.word(fromField);
  const pathField = fields.get("path");
  const configField = fields.get("config");
  if (from.value === "builtin") {
    const other = pathField ?? configField;
    if (other !== undefined) {
      throw read.wrong(
        other.key.at,
        `${other.key.value} goes with a kernel that is local or in an image: leave it out`,
      );
    }
    const foreign = architectures.find(({ value }) => value !== "amd64");
    if (foreign !== undefined) {
      throw read.wrong(from.at, `the builtin kernel is for amd64, and the file is for ${foreign.value}, too`);
    }
    return { kernel: { kind: "builtin", at: from } };
  }
  if (pathField === undefined) {
    throw read.wrong(
      field.key.at,
      "kernel lacks the key path: it says where the kernel is, as path: /kernel",
    );
  }
  if (from.value === "local") {
    const kernel: KernelSource = { kind: "local", path: localPath(read, pathField) };
    return configField === undefined ? { kernel } : { kernel, kernelConfig: localPath(read, configField) };
  }
  const path = pathInImage(read, pathField);
  const kernel: KernelSource = { kind: "image", reference: referenceOf(read, from), path };
  return configField === undefined ? { kernel } : { kernel, kernelConfig: pathInImage(read, configField) };
}

function readCommand(
  read: YamlReader,
  root: Map<string, Field>,
  name: string,
): { cmd?: string[]; warnings: string[] } {
  const cmdField = root.get("cmd");
  const cmd = cmdField === undefined ? undefined : read.texts(cmdField).map(({ value }) => value);
  const field = root.get("cmdline");
  if (field === undefined) return { ...(cmd === undefined ? {} : { cmd }), warnings: [] };
  const { value, at } = read.text(field);
  const used = cmd === undefined || cmd.length === 0;
  const warning = wrongAt(
    name,
    field.key.at,
    used
      ? "warning: cmdline is out of use: write its words as a list after cmd"
      : "warning: cmdline is not used, as there is cmd: leave it out",
  ).message;
  const words = splitCommandLine(value);
  if (words === undefined) throw read.wrong(at, "cmdline has a quote that is not closed");
  return { cmd: used ? words : cmd, warnings: [warning] };
}

function readEnvironment(read: YamlReader, field: Field): string[] {
  return read.texts(field).map(({ value, at }) => {
    if (!/^[^=]+=/s.test(value))
      throw read.wrong(at, `an entry of envs is KEY=VALUE, not ${JSON.stringify(value)}`);
    return value;
  });
}

function readAnnotations(read: YamlReader, field: Field): Record<string, string> {
  const annotations: Record<string, string> = {};
  for (const [key, entry] of read.mapping(field, undefined)) {
    const made = key.startsWith(ANNOTATION_PREFIX)
      ? MADE_ANNOTATIONS[key.slice(ANNOTATION_PREFIX.length)]
      : undefined;
    if (made !== undefined) throw read.wrong(entry.key.at, `${key} is made of ${made}: leave it out here`);
    if (key === "") throw read.wrong(entry.key.at, "an annotation has a name");
    annotations[key] = read.text(entry).value;
  }
  return annotations;
}
