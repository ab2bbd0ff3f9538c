import { UruncError } from "../errors.ts";
import { dockerArchiveSink, dockerArchiveSource } from "./archive/docker-archive.ts";
import { dockerSocket, loadIntoDocker, saveFromDocker } from "./archive/docker-daemon.ts";
import { ociArchiveSink, ociArchiveSource } from "./archive/oci-archive.ts";
import { fileOutput, standardOutput } from "./archive/output.ts";
import { indexTar, type Spool, spool, type TarFile } from "./archive/tar-index.ts";
import type { RegistryOptions } from "./registry/client.ts";
import { registrySink, registrySource } from "./registry/transport.ts";
import { familiarName, formatReference, parseReference, type Reference } from "./spec/reference.ts";
import type { Chunks } from "./spec/verify.ts";
import { Layout } from "./store/layout.ts";
import { layoutSink, layoutSource } from "./store/transport.ts";
import type { ImageSink, ImageSource } from "./transport.ts";

/** Where an image is, or where it is put, as a user writes it. */
export type Location =
  | { kind: "store"; reference: Reference }
  | { kind: "registry"; reference: Reference }
  | { kind: "layout"; path: string; name?: string }
  | { kind: "oci-archive"; path: string; name?: string }
  | { kind: "docker-archive"; path: string; reference?: Reference }
  | { kind: "docker-daemon"; reference: Reference }
  /** An archive of either kind on standard input, one for `docker load` on standard output. */
  | { kind: "stdio" };

/** The path that means standard input or output. */
const STDIO = "-";

/**
 * Parses `NAME` (the store), `docker://NAME` (a registry), `oci:DIRECTORY[:NAME]`, `oci-archive:FILE[:NAME]`,
 * `docker-archive:FILE[:NAME]`, `docker-daemon:NAME` or `-`.
 *
 * @throws UruncError `usage` or `reference-invalid`
 */
export function parseLocation(text: string): Location {
  if (text === STDIO) return { kind: "stdio" };
  if (text.startsWith("docker://")) {
    return { kind: "registry", reference: parseReference(text.slice("docker://".length)) };
  }
  const [, scheme = "", rest = ""] =
    /^(oci|oci-archive|docker-archive|docker-daemon):(.*)$/s.exec(text) ?? [];
  if (scheme === "") {
    const unknown = /^([a-z-]+):(?:\/|\.)/.exec(text)?.[1];
    if (unknown !== undefined) {
      throw new UruncError(
        "usage",
        `${JSON.stringify(text)} begins with the unknown word ${unknown}: known are docker://NAME, oci:DIRECTORY, ` +
          "oci-archive:FILE, docker-archive:FILE and docker-daemon:NAME",
      );
    }
    return { kind: "store", reference: parseReference(text) };
  }
  if (scheme === "docker-daemon") return { kind: "docker-daemon", reference: parseReference(rest) };
  const colon = rest.indexOf(":");
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const name = colon < 0 ? undefined : rest.slice(colon + 1);
  if (path === "" || name === "") {
    throw new UruncError(
      "usage",
      `${JSON.stringify(text)} names no ${scheme === "oci" ? "directory" : "file"} or an empty name`,
    );
  }
  if (scheme === "docker-archive") {
    return { kind: scheme, path, ...(name === undefined ? {} : { reference: parseReference(name) }) };
  }
  const kind = scheme === "oci" ? "layout" : "oci-archive";
  return { kind, path, ...(name === undefined ? {} : { name }) };
}

/** What locations are opened with. */
export interface Access {
  /** The user's store, made when it is needed. */
  store(): Layout;
  registry: RegistryOptions;
  environment: Record<string, string | undefined>;
}

/** An open source, and the layouts whose content must stay while it is read. */
export interface OpenSource {
  source: ImageSource;
  layouts: Layout[];
  /** What the image is called, if it is. */
  reference?: Reference;
}

export async function openSource(location: Location, called: string, access: Access): Promise<OpenSource> {
  switch (location.kind) {
    case "store": {
      const layout = access.store();
      const { reference } = location;
      const hint = ': see "bunny images", or bring it there with "bunny pull"';
      const source = layoutSource(layout, formatReference(reference), called, hint);
      return { source, layouts: [layout], reference };
    }
    case "registry":
      return {
        source: registrySource(location.reference, access.registry),
        layouts: [],
        reference: location.reference,
      };
    case "layout": {
      const layout = Layout.open(location.path);
      return { source: layoutSource(layout, location.name, called), layouts: [layout] };
    }
    case "oci-archive":
      return fromArchive(location.path, called, (tar) => ociArchiveSource(tar, location.name, called));
    case "docker-archive":
      return fromArchive(location.path, called, (tar) =>
        dockerArchiveSource(tar, location.reference, called),
      );
    case "docker-daemon": {
      const saved = await saveFromDocker(dockerSocket(access.environment), location.reference);
      const opened = await fromSpool(await spool(saved), called, (tar) =>
        dockerArchiveSource(tar, undefined, called),
      );
      return { ...opened, reference: location.reference };
    }
    case "stdio":
      return fromArchive(STDIO, "standard input", (tar) =>
        tar.find("manifest.json") === undefined
          ? ociArchiveSource(tar, undefined, "standard input")
          : dockerArchiveSource(tar, undefined, "standard input"),
      );
  }
}

type Reader = (tar: TarFile) => ImageSource | Promise<ImageSource>;

async function fromArchive(path: string, called: string, read: Reader): Promise<OpenSource> {
  if (path !== STDIO) return { source: await read(indexTar(path, called)), layouts: [] };
  if (process.stdin.isTTY) {
    throw new UruncError(
      "usage",
      "an image is not read from a terminal: give standard input a file or a program",
    );
  }
  return fromSpool(await spool(Bun.stdin.stream() as unknown as Chunks), called, read);
}

async function fromSpool(file: Spool, called: string, read: Reader): Promise<OpenSource> {
  try {
    const source = await read(indexTar(file.path, called));
    return { source: { ...source, close: () => file.close() }, layouts: [] };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** An open sink, and the layouts that it writes to. */
export interface OpenSink {
  sink: ImageSink;
  layouts: Layout[];
}

/** @param from the source: what an archive calls the image where nothing else is said, and where blobs may be mounted from */
export async function openSink(
  location: Location,
  called: string,
  access: Access,
  from: OpenSource,
): Promise<OpenSink> {
  switch (location.kind) {
    case "store": {
      const layout = access.store();
      return { sink: layoutSink(layout, formatReference(location.reference), called), layouts: [layout] };
    }
    case "registry": {
      const scratch = access.store();
      const { reference } = location;
      const near = from.reference?.registry === reference.registry ? [from.reference.repository] : [];
      return { sink: registrySink(reference, access.registry, scratch, near), layouts: [scratch] };
    }
    case "layout": {
      const layout = Layout.openOrCreate(location.path);
      return { sink: layoutSink(layout, location.name, called), layouts: [layout] };
    }
    case "oci-archive": {
      const name = location.name ?? (from.reference === undefined ? undefined : familiarName(from.reference));
      return { sink: ociArchiveSink(await outputTo(location.path), name, called), layouts: [] };
    }
    case "docker-archive": {
      const output = await outputTo(location.path);
      return { sink: dockerArchiveSink(output, location.reference ?? from.reference, called), layouts: [] };
    }
    case "docker-daemon": {
      const output = loadIntoDocker(dockerSocket(access.environment));
      return { sink: dockerArchiveSink(output, location.reference, called), layouts: [] };
    }
    case "stdio":
      return { sink: dockerArchiveSink(standardOutput(), from.reference, "standard output"), layouts: [] };
  }
}

function outputTo(path: string) {
  return path === STDIO ? Promise.resolve(standardOutput()) : fileOutput(path);
}
