import type { MonitorChoice } from "../monitor/choose.ts";
import type { ShareWay } from "../monitor/file-server.ts";
import type { ChosenWay, GuestChoice } from "./choose.ts";
import type { VolumeFile } from "./source.ts";
import type { ImageWish } from "./wish.ts";

/** One part of the decision how a container's machine is started. */
export interface Explanation {
  readonly what: "root" | "volume" | "files" | "kernel" | "monitor" | "started";
  readonly how: string;
  /** Why so: the end of a sentence. */
  readonly why: string;
}

/** What a decision was made of. */
export interface Decision {
  readonly choice: GuestChoice;
  readonly monitor: Pick<MonitorChoice, "name" | "reason" | "warnings">;
  readonly wish: ImageWish | undefined;
  readonly share: Pick<ShareWay, "kind" | "reason">;
  /** Something is bound into the container. */
  readonly hasBinds: boolean;
  /** Our kernel, and what `uname -r` says in it. */
  readonly own: { readonly path: string; readonly release: string | undefined };
}

const NO_KERNEL = "the image brings no kernel";

/** A decision in words: for the log, and for who asks. */
export function explainGuest({ choice, monitor, wish, share, hasBinds, own }: Decision): Explanation[] {
  const { way, protocol, reasons } = choice;
  const [ofRoot = "", ofProtocol = NO_KERNEL] = reasons;
  // Without the agent nobody would put binds into another root.
  const shares = way.root.kind === "share" || (protocol === "agent" && hasBinds);
  return [
    { what: "root", how: rootInWords(way.root, share.kind), why: ofRoot },
    ...(way.volume === undefined ? [] : [explainVolume(way.volume)]),
    ...(shares ? [{ what: "files", how: filesInWords(share.kind), why: share.reason } as const] : []),
    {
      what: "kernel",
      how:
        way.kernel === undefined
          ? `${own.path}, ${own.release ?? "of an unknown version"}`
          : `the image's ${wish?.kernel ?? way.kernel}`,
      why: whyKernel(way.kernel !== undefined, wish?.kernel !== undefined),
    },
    { what: "monitor", how: monitor.name, why: monitor.warnings[0] ?? monitor.reason },
    {
      what: "started",
      how: protocol === "agent" ? "with the agent" : "without the agent, by the kernel's command line",
      why: ofProtocol,
    },
  ];
}

function filesInWords(share: ShareWay["kind"]): string {
  return share === "initramfs" ? "copies of the client's own, with the agent" : share;
}

function rootInWords(root: ChosenWay["root"], share: ShareWay["kind"]): string {
  switch (root.kind) {
    case "share":
      return `the container's own root file system, shared by ${share}`;
    case "none":
      return "none: the kernel has its files itself";
    case "image": {
      const article = root.type === "erofs" ? "an EROFS" : "an ext4";
      const upper = root.persist ? "a file that stays as long as the container" : "the guest's memory";
      return `${article} image of the container's own root file system, with changes in ${upper}`;
    }
    case "disk":
      return `the ext4 file system ${root.path}, which is written to`;
    case "initrd":
      return `the initrd ${root.path}, as files in the guest's memory`;
    case "overlay": {
      const upper = root.upper.kind === "tmpfs" ? "the guest's memory" : root.upper.path;
      return `the ${root.lower.type} file system ${root.lower.path}, with changes in ${upper}`;
    }
  }
}

function explainVolume({ type, path, mountPoint }: VolumeFile): Explanation {
  return {
    what: "volume",
    how: `the ${type} file system ${path} at ${mountPoint}`,
    why: "the image brings a block image for there",
  };
}

function whyKernel(isOther: boolean, isBrought: boolean): string {
  if (isOther) return "the image brings a kernel";
  return isBrought ? "the image brings the same" : NO_KERNEL;
}

/** One line of a log. */
export function explanationLine(explanations: readonly Explanation[]): string {
  return explanations.map(({ what, how, why }) => `${what}: ${how} (${why})`).join("; ");
}
