import { expect, test } from "bun:test";
import { type Decision, explainGuest, explanationLine } from "./explain.ts";
import { SHARED_ROOT } from "./source.ts";

const PLAIN: Decision = {
  choice: { protocol: "agent", way: SHARED_ROOT, reasons: ["the image brings nothing"] },
  monitor: { name: "qemu", reason: "nothing asks for another", warnings: [] },
  wish: undefined,
  share: { kind: "virtiofs", reason: "/v is there" },
  hasBinds: true,
  own: { path: "/share/vmlinux", release: "6.12.1-urunc" },
};

const explain = (choice: Partial<Decision["choice"]>, more: Partial<Decision> = {}) =>
  explainGuest({ ...PLAIN, ...more, choice: { ...PLAIN.choice, ...choice } });

test("an ordinary image: its own root, our kernel, the agent", () => {
  expect(explainGuest(PLAIN)).toEqual([
    {
      what: "root",
      how: "the container's own root file system, shared by virtiofs",
      why: "the image brings nothing",
    },
    { what: "files", how: "virtiofs", why: "/v is there" },
    { what: "kernel", how: "/share/vmlinux, 6.12.1-urunc", why: "the image brings no kernel" },
    { what: "monitor", how: "qemu", why: "nothing asks for another" },
    { what: "started", how: "with the agent", why: "the image brings no kernel" },
  ]);
});

test("an image's kernel is named by its place in the image, and why the agent is not there", () => {
  const explained = explain(
    {
      protocol: "direct",
      way: { root: { kind: "initrd", path: "/b/initrd" }, kernel: "/b/boot/vmlinuz", direct: true },
      reasons: ["the image brings an initrd", "the image's kernel is compressed"],
    },
    { wish: { type: "linux", kernel: "/boot/vmlinuz", mountRootfs: false }, hasBinds: false },
  );
  expect(explanationLine(explained)).toBe(
    "root: the initrd /b/initrd, as files in the guest's memory (the image brings an initrd); " +
      "kernel: the image's /boot/vmlinuz (the image brings a kernel); " +
      "monitor: qemu (nothing asks for another); " +
      "started: without the agent, by the kernel's command line (the image's kernel is compressed)",
  );
});

test("a monitor that cannot be had is why another one is there", () => {
  const warning = "the image wants the monitor hvt, which is not supported: QEMU runs it";
  const monitor = { name: "qemu", reason: "it runs every image", warnings: [warning] } as const;
  const explained = explain({}, { monitor });
  expect(explained).toContainEqual({ what: "monitor", how: "qemu", why: warning });
});

test("files that are not shared are copied", () => {
  const explained = explain({}, { share: { kind: "initramfs", reason: "firecracker shares no files" } });
  const files = explained.find(({ what }) => what === "files");
  expect(files?.how).toBe("copies of the client's own, with the agent");
});

test("a kernel that is ours already is said to be", () => {
  const wish = { type: "linux", kernel: "/k", mountRootfs: false };
  const [kernel] = explain({}, { wish, own: { path: "/s", release: undefined } }).filter(
    ({ what }) => what === "kernel",
  );
  expect(kernel).toEqual({
    what: "kernel",
    how: "/s, of an unknown version",
    why: "the image brings the same",
  });
});

test("roots of files, and what is mounted besides", () => {
  const how = (way: Decision["choice"]["way"]) =>
    explain({ way }, { hasBinds: false }).map((part) => part.how);
  expect(how({ root: { kind: "disk", path: "/d" } })[0]).toBe("the ext4 file system /d, which is written to");
  expect(how({ root: { kind: "image", type: "ext4", persist: true } })[0]).toBe(
    "an ext4 image of the container's own root file system, with changes in a file that stays as long as the container",
  );
  const lower = { path: "/l", type: "erofs" } as const;
  expect(how({ root: { kind: "overlay", lower, upper: { kind: "tmpfs" } } })[0]).toBe(
    "the erofs file system /l, with changes in the guest's memory",
  );
  expect(
    how({
      root: { kind: "overlay", lower, upper: { kind: "file", path: "/u" } },
      volume: { path: "/v", type: "ext4", mountPoint: "/data" },
    }).slice(0, 2),
  ).toEqual(["the erofs file system /l, with changes in /u", "the ext4 file system /v at /data"]);
});

test("no files are shared with a guest without the agent that has another root", () => {
  const unikernel = { type: "unikraft" } as const;
  const way = { root: { kind: "none" }, kernel: "/r/k", direct: true, unikernel } as const;
  const parts = explain({ protocol: "direct", way, reasons: ["a", "b"] });
  expect(parts.map(({ what }) => what)).toEqual(["root", "kernel", "monitor", "started"]);
});
