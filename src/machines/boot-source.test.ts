import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { bootSource } from "./boot-source.ts";

const PREFIX = "com.urunc.unikernel.";
const IMAGE = "/cache/root.erofs";

let brought: string;
beforeEach(() => {
  brought = mkdtempSync(join(tmpdir(), "urunc-brought-"));
});
afterEach(() => rmSync(brought, { recursive: true }));

function put(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(brought, path)), { recursive: true });
  writeFileSync(join(brought, path), content);
}

/** As far as a kernel is looked at: an ELF file, and options that the agent needs. */
const AGENT_KERNEL = "\x7fELF";
const AGENT_CONFIG = [..."10-machine 20-virtio 30-file-systems 40-processes 50-network".split(" ")]
  .map((name) => readFileSync(join(import.meta.dir, `../../kernel/${name}.config`), "utf8"))
  .join("\n");

/** The start of an ext4 file system, as far as it is looked at. */
function ext4(): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.writeUInt16LE(0xef53, 1024 + 56);
  return bytes;
}

test("an image that brings nothing is its own root", () => {
  expect(bootSource({ path: IMAGE }, {})).toEqual({ root: IMAGE });
});

test("a kernel is found in the bundle's root, whatever says that it is there", () => {
  const said = { [`${PREFIX}binary`]: "/k" };
  put("k", AGENT_KERNEL);
  put("config", AGENT_CONFIG);
  const byLabel = bootSource({ path: IMAGE, brought }, said);
  expect(byLabel).toEqual({ root: IMAGE, rootfs: brought, annotations: said });
  put("urunc.json", JSON.stringify(said));
  const byFile = bootSource({ path: IMAGE, brought }, {});
  expect(byFile).toEqual({ root: IMAGE, rootfs: brought, annotations: {} });
});

test("a block image is the root, and is not written to", () => {
  const said = { [`${PREFIX}block`]: "/.boot/rootfs", [`${PREFIX}blkMntPoint`]: "/" };
  put(".boot/rootfs", ext4());
  const source = bootSource({ path: IMAGE, brought }, said);
  const root = join(brought, ".boot/rootfs");
  expect(source).toEqual({ root, rootfs: brought, annotations: said });
});

test("an initrd, and a block image that is none, are left to the runtime", () => {
  const initrd = { [`${PREFIX}initrd`]: "/i" };
  expect(bootSource({ path: IMAGE, brought }, initrd)).toEqual({ rootfs: brought, annotations: initrd });
  const missing = { [`${PREFIX}block`]: "/b" };
  const expected = { rootfs: brought, annotations: missing };
  expect(bootSource({ path: IMAGE, brought }, missing)).toEqual(expected);
  put("b", "no file system");
  expect(bootSource({ path: IMAGE, brought }, missing)).toEqual(expected);
});

test("a block image with another place is written to, so that each machine has its own", () => {
  const said = { [`${PREFIX}block`]: "/data.ext4", [`${PREFIX}blkMntPoint`]: "/data" };
  put("data.ext4", ext4());
  const source = bootSource({ path: IMAGE, brought }, said);
  expect(source).toEqual({ root: IMAGE, annotations: said, copied: [brought] });
});

test("where the agent cannot run the root is written to, so that each machine has its own", () => {
  const kernel = { [`${PREFIX}binary`]: "/k" };
  put("k", "a kernel of which nothing is known");
  expect(bootSource({ path: "/cache/root.ext4", brought }, kernel)).toEqual({
    copied: [brought, "/cache/root.ext4"],
    annotations: {
      ...kernel,
      [`${PREFIX}block`]: "/root.ext4",
      [`${PREFIX}blkMntPoint`]: "/",
      [`${PREFIX}mountRootfs`]: "false",
    },
  });
  const block = { ...kernel, [`${PREFIX}block`]: "/b" };
  put("b", ext4());
  expect(bootSource({ path: IMAGE, brought }, block)).toEqual({ copied: [brought], annotations: block });
  const initrd = { ...kernel, [`${PREFIX}initrd`]: "/b" };
  expect(bootSource({ path: IMAGE, brought }, initrd)).toEqual({ rootfs: brought, annotations: initrd });
});
