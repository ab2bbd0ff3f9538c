import type { Descriptor } from "./spec/manifest.ts";
import type { Chunks } from "./spec/verify.ts";

/** Where an image is read. */
export interface ImageSource {
  /** What it is called in sentences. */
  readonly name: string;
  /** The manifest or index that the name leads to. */
  root(): Promise<{ descriptor: Descriptor; bytes: Uint8Array }>;
  /** Content of the image, manifests too, from an offset in bytes on; not verified. */
  open(descriptor: Descriptor, offset?: number): Chunks;
  /** A file with nothing but that content, where there is one. */
  file?(descriptor: Descriptor): string | undefined;
  /** The repositories of a registry that the content is in. */
  readonly repository?: { registry: string; repository: string };
  /** Frees what it holds. */
  close?(): Promise<void>;
}

/** Where an image is written. */
export interface ImageSink {
  readonly name: string;
  /** Blobs that may be written at once. */
  readonly parallel: number;
  /** Whether it can hold images for several platforms under one name. */
  readonly severalPlatforms: boolean;
  /** Writes a blob, of which the content is verified by whoever keeps it. */
  putBlob(descriptor: Descriptor, source: ImageSource, onProgress: (bytes: number) => void): Promise<void>;
  /** Writes a manifest or an index, verified, after everything that it names. */
  putManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void>;
  /** Gives the whole its name: nothing of it is seen before. */
  finish(root: Descriptor): Promise<void>;
  /** Frees what it holds, whether it was finished or not. */
  close?(): Promise<void>;
}

/** What is known of a copy while it goes on. */
export interface CopyProgress {
  /** A blob is begun. */
  begin(descriptor: Descriptor): void;
  /** Bytes of it have come; negative if they have to come again. */
  advance(descriptor: Descriptor, bytes: number): void;
  /** It is whole. */
  end(descriptor: Descriptor): void;
}

export const SILENT: CopyProgress = { begin() {}, advance() {}, end() {} };
