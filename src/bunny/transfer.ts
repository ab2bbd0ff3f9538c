import { copyImage } from "../image/copy.ts";
import { type Access, type Location, type OpenSink, openSink, openSource } from "../image/location.ts";
import type { Descriptor } from "../image/spec/manifest.ts";
import { hostPlatform, type Platform } from "../image/spec/platform.ts";
import type { Layout } from "../image/store/layout.ts";
import { transferProgress } from "./progress.ts";

export interface TransferOptions {
  platform?: Platform | undefined;
  quiet: boolean;
}

/** A location with the word that the user wrote. */
export interface Place {
  location: Location;
  called: string;
}

/** Copies an image from one place to another, and shows how far it is on standard error. */
export async function transfer(
  from: Place,
  to: Place,
  access: Access,
  options: TransferOptions,
): Promise<Descriptor> {
  const opened = await openSource(from.location, from.called, access);
  let target: OpenSink | undefined;
  try {
    const { sink, layouts } = await openSink(to.location, to.called, access, opened);
    target = { sink, layouts };
    const platform = options.platform ?? (sink.severalPlatforms ? undefined : hostPlatform());
    const progress = transferProgress(options.quiet);
    try {
      return await usingAll([...opened.layouts, ...layouts], () =>
        copyImage(opened.source, sink, { platform, progress }),
      );
    } finally {
      progress.close();
    }
  } finally {
    await target?.sink.close?.();
    await opened.source.close?.();
  }
}

/** Nothing is removed from any of the layouts meanwhile. */
function usingAll<T>(layouts: readonly Layout[], work: () => Promise<T>): Promise<T> {
  const [first, ...others] = layouts;
  return first === undefined ? work() : first.using(() => usingAll(others, work));
}
