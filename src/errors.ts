/** What went wrong, as a closed set: callers and tests decide by the code, people read the sentence. */
export type ErrorCode =
  | "usage"
  | "bundle-invalid"
  | "id-invalid"
  | "id-in-use"
  | "not-found"
  | "state"
  | "config-invalid"
  | "engine"
  | "engine-missing"
  | "monitor-missing"
  | "kernel-invalid"
  | "kernel-build"
  | "files-missing"
  | "device-missing"
  | "memory-too-small"
  | "network"
  | "guest"
  | "layer-invalid"
  | "file-system"
  | "not-supported"
  | "reference-invalid"
  | "image-invalid"
  | "image-missing"
  | "registry"
  | "registry-denied"
  | "store"
  | "build-file"
  | "build"
  | "internal";

/**
 * An error whose message is one sentence for the user: what is wrong and what to do about it.
 * `exitStatus` is what the command exits with (1 unless the engine's own status is passed on).
 */
export class UruncError extends Error {
  readonly code: ErrorCode;
  readonly exitStatus: number;

  constructor(code: ErrorCode, sentence: string, options: { cause?: unknown; exitStatus?: number } = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "UruncError";
    this.code = code;
    this.exitStatus = options.exitStatus ?? 1;
  }
}
