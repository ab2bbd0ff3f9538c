import { DocumentReader, parseDocument } from "./document.ts";
import { MAXIMUM_CONFIG } from "./manifest.ts";
import { type Platform, readPlatform } from "./platform.ts";

/** What an image says of the process in it, and of its layers: image-spec `config.md`. */
export interface ImageConfig {
  platform: Platform;
  created?: string;
  author?: string;
  /** Digests of the layers without compression, the lowest first. */
  diffIds: string[];
  process: ImageProcess;
}

/** The field `config`. */
export interface ImageProcess {
  user?: string;
  env: string[];
  entrypoint: string[];
  cmd: string[];
  workingDir?: string;
  exposedPorts: string[];
  volumes: string[];
  labels: Record<string, string>;
  stopSignal?: string;
}

/**
 * Parses and validates an image's configuration. Unknown fields are ignored.
 *
 * @throws UruncError `image-invalid`
 */
export function parseImageConfig(bytes: Uint8Array, where: string): ImageConfig {
  const document = parseDocument(bytes, where, MAXIMUM_CONFIG);
  const read = new DocumentReader(where);
  const rootfs = read.object(document["rootfs"], "rootfs");
  const fields = document["config"] == null ? {} : read.object(document["config"], "config");
  const names = (key: string) =>
    fields[key] == null ? [] : Object.keys(read.object(fields[key], `config.${key}`));
  const config: ImageConfig = {
    platform: readPlatform(read, document, "the document"),
    diffIds: read
      .stringList(rootfs["diff_ids"], "rootfs.diff_ids")
      .map((digest, index) => read.digest(digest, `rootfs.diff_ids[${index}]`)),
    process: {
      env: read.stringList(fields["Env"], "config.Env"),
      entrypoint: read.stringList(fields["Entrypoint"], "config.Entrypoint"),
      cmd: read.stringList(fields["Cmd"], "config.Cmd"),
      exposedPorts: names("ExposedPorts"),
      volumes: names("Volumes"),
      labels: read.strings(fields["Labels"], "config.Labels"),
    },
  };
  const set = <T, K extends keyof T>(target: T, key: K, value: string | undefined) => {
    if (value !== undefined) target[key] = value as T[K];
  };
  set(config, "created", read.optionalString(document["created"], "created"));
  set(config, "author", read.optionalString(document["author"], "author"));
  set(config.process, "user", read.optionalString(fields["User"], "config.User"));
  set(config.process, "workingDir", read.optionalString(fields["WorkingDir"], "config.WorkingDir"));
  set(config.process, "stopSignal", read.optionalString(fields["StopSignal"], "config.StopSignal"));
  return config;
}
