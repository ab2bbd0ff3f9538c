import { join } from "node:path";
import { findShareFiles, kernelRelease, shareDirectory } from "../config/share.ts";
import { UruncError } from "../errors.ts";
import type { Finding, Group } from "./finding.ts";

/** The guest's own files on this host. */
export function guestFileFindings(configured: string | undefined): Group {
  const name = "Guest";
  const directory = shareDirectory(configured);
  try {
    findShareFiles(configured);
  } catch (error) {
    if (!(error instanceof UruncError)) throw error;
    return { name, findings: [{ what: "files", state: "not", found: error.message }] };
  }
  return { name, findings: judgeGuestFiles(directory, kernelRelease(directory)) };
}

/** @param release of the kernel, as `uname -r` has it there */
export function judgeGuestFiles(directory: string, release: string | undefined): Finding[] {
  return [
    {
      what: "kernel",
      state: "ok",
      found: `${join(directory, "vmlinux")}, ${release ?? "of an unknown version"}`,
    },
    { what: "agent", state: "ok", found: join(directory, "initramfs.cpio") },
  ];
}
