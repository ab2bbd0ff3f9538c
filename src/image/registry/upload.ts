import { UruncError } from "../../errors.ts";
import type { Descriptor } from "../spec/manifest.ts";
import { discard, refusal } from "./answer.ts";
import { type Connection, NetworkError } from "./connection.ts";
import { isTransient, waitBefore } from "./retry.ts";

/** Up to this many bytes go in one request; more go in parts of it, each of which can be sent again. */
export const PART = 32 * 1024 * 1024;

export interface Upload {
  connection: Connection;
  repository: string;
  /** The image's, for sentences. */
  name: string;
  scopes: readonly string[];
  descriptor: Descriptor;
  /** Asked for only if the content has to be sent. */
  file: () => Promise<Blob>;
  mountFrom: readonly string[];
  onProgress: (bytes: number) => void;
}

/** distribution-spec, "Pushing Blobs": mounted, or in one piece, or in parts. */
export async function uploadBlob(upload: Upload): Promise<"mounted" | "uploaded"> {
  const { descriptor, mountFrom } = upload;
  for (const from of mountFrom) {
    const location = await start(upload, from);
    if (location === undefined) return "mounted";
    // The registry has begun an ordinary upload in the place of a mount.
    if (from === mountFrom.at(-1)) return send(upload, location);
    await cancel(upload, location);
  }
  const location = await start(upload);
  if (location === undefined) throw unexpected(upload, `took ${descriptor.digest} before it was sent`);
  return send(upload, location);
}

/** Begins an upload; gives the place for it, or undefined if the blob was mounted. */
async function start(upload: Upload, from?: string): Promise<string | undefined> {
  const { connection, repository, descriptor, scopes } = upload;
  const mount =
    from === undefined
      ? ""
      : `?mount=${encodeURIComponent(descriptor.digest)}&from=${encodeURIComponent(from)}`;
  const answer = await connection.request(`v2/${repository}/blobs/uploads/${mount}`, {
    method: "POST",
    headers: { "content-length": "0" },
    scopes: from === undefined ? scopes : [...scopes, `repository:${from}:pull`],
  });
  if (answer.status === 201 && from !== undefined) {
    await discard(answer);
    return undefined;
  }
  // Some registries refuse what they cannot mount.
  if (from !== undefined && answer.status >= 400 && answer.status < 500) {
    await discard(answer);
    return start(upload);
  }
  return next(upload, answer, connection.endpoint.url);
}

async function send(upload: Upload, location: string): Promise<"uploaded"> {
  const { descriptor, onProgress } = upload;
  const file = await upload.file();
  if (file.size !== descriptor.size) {
    throw new UruncError(
      "image-invalid",
      `${descriptor.digest} has ${file.size} bytes in the place of ${descriptor.size}`,
    );
  }
  if (descriptor.size <= PART) {
    await finish(upload, location, file);
    onProgress(descriptor.size);
    return "uploaded";
  }
  let place = location;
  for (let offset = 0; offset < descriptor.size; ) {
    const [nextPlace, nextOffset] = await sendPart(upload, place, file, offset);
    onProgress(nextOffset - offset);
    [place, offset] = [nextPlace, nextOffset];
  }
  await finish(upload, place);
  return "uploaded";
}

/** Sends one part; after a failure it asks how much of it has arrived. */
async function sendPart(
  upload: Upload,
  location: string,
  file: Blob,
  offset: number,
): Promise<[location: string, offset: number]> {
  const { connection, scopes } = upload;
  let place = location;
  let from = offset;
  const end = Math.min(offset + PART, file.size);
  for (let attempt = 1; ; attempt++) {
    let retryAfter: string | null = null;
    try {
      const answer = await connection.request(place, {
        method: "PATCH",
        headers: { "content-type": "application/octet-stream", "content-range": `${from}-${end - 1}` },
        body: file.slice(from, end),
        scopes,
        retry: false,
      });
      // 416: what has arrived is not what we think; that is asked for below.
      if (!isTransient(answer.status) && answer.status !== 416)
        return [await next(upload, answer, place), end];
      retryAfter = answer.headers.get("retry-after");
      const wait = waitBefore(connection.patience, attempt, retryAfter, Date.now(), Math.random());
      if (attempt >= connection.patience.attempts || wait === undefined)
        return [await next(upload, answer, place), end];
      await discard(answer);
      await Bun.sleep(wait);
    } catch (error) {
      if (!(error instanceof NetworkError) || attempt >= connection.patience.attempts) throw error;
      await Bun.sleep(waitBefore(connection.patience, attempt, null, Date.now(), Math.random()) ?? 0);
    }
    [place, from] = await arrived(upload, place, offset, end);
    if (from >= end) return [place, end];
  }
}

/** How far an upload has come: distribution-spec, end-13. */
async function arrived(
  upload: Upload,
  location: string,
  least: number,
  most: number,
): Promise<[location: string, offset: number]> {
  const answer = await upload.connection.request(location, { scopes: upload.scopes });
  if (answer.status !== 204)
    throw await refusal(answer, `cannot push ${upload.name}`, upload.connection.endpoint.host);
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(answer.headers.get("range") ?? "")?.[1];
  // Docker's registry says 0-0 for nothing.
  const offset = last === undefined || last === "0" ? 0 : Number(last) + 1;
  if (offset < least || offset > most)
    throw unexpected(upload, `has ${offset} bytes of a part from ${least} to ${most}`);
  return [await next(upload, answer, location), offset];
}

async function finish(upload: Upload, location: string, body?: Blob): Promise<void> {
  const { connection, scopes, descriptor } = upload;
  const url = new URL(location);
  url.searchParams.set("digest", descriptor.digest);
  const answer = await connection.request(url.href, {
    method: "PUT",
    headers: body === undefined ? { "content-length": "0" } : { "content-type": "application/octet-stream" },
    ...(body === undefined ? {} : { body }),
    scopes,
  });
  if (answer.status !== 201 && answer.status !== 204) {
    throw await refusal(
      answer,
      `cannot push ${descriptor.digest} of ${upload.name}`,
      connection.endpoint.host,
    );
  }
  await discard(answer);
}

async function cancel(upload: Upload, location: string): Promise<void> {
  const { connection, scopes } = upload;
  const answer = await connection.request(location, { method: "DELETE", scopes });
  await discard(answer);
}

/** Where an upload goes on. */
async function next(upload: Upload, answer: Response, base: string): Promise<string> {
  if (answer.status < 200 || answer.status > 299) {
    throw await refusal(answer, `cannot push ${upload.name}`, upload.connection.endpoint.host);
  }
  await discard(answer);
  const location = answer.headers.get("location");
  if (location === null) return base;
  if (!URL.canParse(location, base)) throw unexpected(upload, "names no place for the upload");
  const url = new URL(location, base);
  if (base.startsWith("https:") && url.protocol !== "https:") {
    throw unexpected(upload, `wants the upload sent to ${url.host} without encryption`);
  }
  return url.href;
}

function unexpected(upload: Upload, what: string): UruncError {
  return new UruncError("registry", `cannot push ${upload.name}: ${upload.connection.endpoint.host} ${what}`);
}
