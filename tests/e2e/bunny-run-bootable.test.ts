import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type BunnyHome, type Caller, makeBunnyHome } from "../harness/bunny.ts";
import { succeed, until } from "../harness/command.ts";
import { ensureImage } from "../harness/images.ts";
import { type LaidOut, layOut } from "../harness/laid-out.ts";

/** Images that bring a kernel, an init or a root of their own, by `bunny run`. */

setDefaultTimeout(120_000);

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const KERNEL = { "/.boot/kernel": join(SHARE, "vmlinux"), "/urunit": join(SHARE, "urunit") };
const LINUX = { unikernelType: "linux", hypervisor: "qemu", binary: "/.boot/kernel" };
const START = "version: v0.1\nplatforms: {framework: linux, monitor: qemu, architecture: x86}\n";

const callers: Caller[] = ["root", "an ordinary user"];

describe.each(callers)("bunny run by %s", (caller) => {
  let home: BunnyHome;
  let files: string;
  /** Files for images, by their names. */
  const file = (name: string) => join(files, name);

  const run = (...args: string[]) => home.succeed("run", "--rm", ...args);

  const laidOut = async (name: string, image: LaidOut) => {
    const archive = await layOut(files, image);
    chmodSync(archive, 0o644);
    await home.succeed("copy", "-q", `docker-archive:${archive}`, name);
  };

  const build = async (name: string, bunnyfile: string) => {
    const context = home.makeDirectory(`context-${name}`);
    for (const used of ["vmlinux", "rootfs.ext2", "mark"]) copyFileSync(file(used), join(context, used));
    writeFileSync(join(context, "bunnyfile"), START + bunnyfile);
    await home.succeed("build", "-q", "-t", name, context);
  };

  beforeAll(async () => {
    home = await makeBunnyHome(caller);
    files = home.makeDirectory("files");
    const { archive: base } = await ensureImage("busybox");
    copyFileSync(base, file("box.tar"));
    await home.succeed("copy", "-q", `docker-archive:${file("box.tar")}`, "box");
    writeFileSync(file("mark"), "of the root image\n");
    const root = file("root");
    mkdirSync(root);
    await succeed(["sh", "-c", "tar -xOf ../box.tar layer.tar | tar -x && cp ../mark ."], { cwd: root });
    copyFileSync(join(SHARE, "urunit"), join(root, "urunit"));
    await succeed(["mkfs.ext2", "-q", "-d", root, file("rootfs.ext2"), "24M"]);
    await succeed(["sh", "-c", `cd ${root} && find . | cpio --quiet -H newc -o >${file("rootfs.initrd")}`]);
    copyFileSync(join(SHARE, "vmlinux"), file("vmlinux"));
    // A kernel of somebody else's, who calls it otherwise.
    const kernel = readFileSync(file("vmlinux"), "latin1").replaceAll("-urunc\0", "-other\0");
    writeFileSync(file("other"), kernel, "latin1");

    await laidOut("raw", {
      base,
      files: KERNEL,
      annotations: { ...LINUX, mountRootfs: "true", cmdline: "/urunit /bin/sh" },
      command: ["/urunit", "/bin/sh", "-c", "'echo", "joined;", "uname", "-r'"],
    });
    await laidOut("block", {
      files: { ...KERNEL, "/.boot/rootfs": file("rootfs.ext2") },
      annotations: { ...LINUX, hypervisor: "firecracker", block: "/.boot/rootfs", blkMntPoint: "/" },
      command: ["/urunit", "/bin/cat", "/mark"],
    });
    await laidOut("initrd", {
      files: { ...KERNEL, "/.boot/rootfs": file("rootfs.initrd") },
      annotations: { ...LINUX, initrd: "/.boot/rootfs" },
      command: ["/urunit", "/bin/cat", "/mark"],
    });
    await laidOut("other", {
      base,
      files: { "/boot/kernel": file("other"), "/boot/config": join(SHARE, "kernel.config") },
      annotations: { ...LINUX, binary: "/boot/kernel" },
      command: ["/bin/uname", "-r"],
    });
    await laidOut("volume", {
      base,
      files: { "/disk.ext2": file("rootfs.ext2") },
      annotations: { block: "/disk.ext2", blkMntPoint: "/data" },
      command: ["/bin/sh", "-c", "cat /data/mark; echo more >> /data/mark; cat /data/mark"],
    });
  }, 600_000);

  afterAll(() => home?.remove());

  test("a raw image runs its command, words between quotes joined", async () => {
    expect(await run("raw")).toMatch(/^joined\n6\.12.*-urunc$/);
  });

  test("a block image is the root, from which changes go with the machine", async () => {
    expect(await run("block")).toBe("of the root image");
    const change = "echo changed > /mark; cat /mark";
    expect(await run("block", "/urunit", "/bin/sh", "-c", change)).toBe("changed");
    expect(await run("block")).toBe("of the root image");
    const readOnly = await home.run(["run", "--rm", "--read-only", "block", "/bin/touch", "/new"]);
    expect(readOnly).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("Read-only file system") });
  });

  test("a block image's files are unpacked once, and no file system is made of what holds them", async () => {
    await run("block");
    const kept = readdirSync(home.roots, { recursive: true }).map(String);
    const ofBlock = kept.filter((path) => path.endsWith("/brought/.boot/rootfs"));
    expect(ofBlock.length).toBe(1);
    for (const path of ofBlock)
      expect(kept).not.toContain(path.replace("brought/.boot/rootfs", "root.erofs"));
  });

  test("an initrd is the root, in memory", async () => {
    expect(await run("initrd")).toBe("of the root image");
    const script = "stat -f -c %T /; echo x > /x; cat /x";
    expect(await run("initrd", "/urunit", "/bin/sh", "-c", script)).toBe("tmpfs\nx");
  });

  test("a kernel with the configuration that our agent needs is the machine's", async () => {
    expect(await run("other")).toMatch(/^6\.12.*-other$/);
    expect(await run("--entrypoint", "/bin/sh", "other", "-c", "uname -r; echo x > /x; cat /x")).toMatch(
      /-other\nx$/,
    );
  });

  test("a block image with another place is a volume there, of each machine's own", async () => {
    for (let round = 0; round < 2; round++) {
      expect(await run("volume")).toBe("of the root image\nof the root image\nmore");
    }
  });

  test("images that bunny has built are booted, whatever their root's type", async () => {
    const common = 'cmd: [sh, -c, "cat /mark; uname -r"]\n';
    const rootfs = (type: string) => `rootfs: {from: box, type: ${type}, include: ["mark:/mark"]}\n`;
    for (const type of ["raw", "block", "initrd"]) {
      await build(`built-${type}`, `kernel: {from: builtin}\n${rootfs(type)}${common}`);
      expect(await run(`built-${type}`)).toMatch(/^of the root image\n6\.12.*-urunc$/);
    }
    const local = "kernel: {from: local, path: vmlinux}\n";
    await build("built-local", `${local}rootfs: {from: local, type: block, path: rootfs.ext2}\n${common}`);
    expect(await run("built-local")).toMatch(/^of the root image\n6\.12.*-urunc$/);
  });

  test("labels alone say what an image brings", async () => {
    await laidOut("labels", {
      files: { "/rootfs": file("rootfs.ext2") },
      annotations: { block: "/rootfs", blkMntPoint: "/" },
      file: false,
      command: ["/bin/cat", "/mark"],
    });
    expect(await run("labels")).toBe("of the root image");
  });

  test("a kernel of which nothing is known boots without the agent, from a root of the machine's own", async () => {
    const unknown = { "/.boot/kernel": file("other"), "/urunit": join(SHARE, "urunit") };
    const script = "uname -r; cat /mark; echo x > /mark; cat /mark; exit 7";
    const command = ["/urunit", "/bin/sh", "-c", script];
    await laidOut("unknown-raw", {
      base: file("box.tar"),
      files: { ...unknown, "/mark": file("mark") },
      annotations: { ...LINUX, mountRootfs: "true" },
      command,
    });
    await laidOut("unknown-block", {
      files: { ...unknown, "/.boot/rootfs": file("rootfs.ext2") },
      annotations: { ...LINUX, block: "/.boot/rootfs", blkMntPoint: "/" },
      command,
    });
    await laidOut("unknown-initrd", {
      files: { ...unknown, "/.boot/rootfs": file("rootfs.initrd") },
      annotations: { ...LINUX, initrd: "/.boot/rootfs" },
      command,
    });
    // What the first has changed the second does not see.
    for (const image of ["unknown-raw", "unknown-raw", "unknown-block", "unknown-block", "unknown-initrd"]) {
      const { exitCode, stdout } = await home.run(["run", "--rm", image]);
      expect({ image, exitCode, stdout }).toEqual({
        ...{ image, exitCode: 7 },
        stdout: expect.stringMatching(/^6\.12.*-other\nof the root image\nx\n$/),
      });
    }
  });

  test("volumes, variables, users and names are what was asked for", async () => {
    const volume = home.makeDirectory("volume");
    writeFileSync(join(volume, "file"), "of the host\n");
    const asked = ["-v", `${volume}:/v`, "-e", "A=b c", "--hostname", "named", "-u", "1000:4"];
    const script = 'cat /v/file; echo "$A"; hostname; id -u; id -g';
    for (const image of ["raw", "block", "initrd"]) {
      const out = await run(...asked, image, "/urunit", "/bin/sh", "-c", script);
      expect(out).toBe("of the host\nb c\nnamed\n1000\n4");
    }
  });

  test("one in the background can be entered", async () => {
    const id = await home.succeed("run", "-d", "block", "/urunit", "/bin/sleep", "1000");
    expect(await home.succeed("exec", id, "cat", "/mark")).toBe("of the root image");
    await home.succeed("rm", "-f", id);
  });

  test("what an image brings and cannot be used is a sentence", async () => {
    const refused = async (image: Omit<LaidOut, "command">, sentence: string) => {
      await laidOut("refused", { ...image, command: ["/x"] });
      const { exitCode, stdout, stderr } = await home.run(["run", "--rm", "refused"]);
      expect({ exitCode, stdout }).toEqual({ exitCode: 125, stdout: "" });
      expect(stderr).toContain(sentence);
      expect(stderr.trimEnd().split("\n").length).toBe(1);
    };
    await refused(
      { files: {}, annotations: { binary: "/.boot/kernel" } },
      "names /.boot/kernel, and there is no such file",
    );
    await refused({ files: {}, annotations: { unikernelType: "unikraft" } }, 'of the type "unikraft"');
    await refused({ files: {}, annotations: { initrd: "/a", block: "/b" } }, "2 root file systems");
    const text = { "/text": file("mark") };
    await refused({ files: text, annotations: { block: "/text" } }, "no file system that the guest mounts");
    await refused({ files: text, annotations: { initrd: "/text" } }, "not a cpio archive");
    await until("nothing is left", async () => (await home.succeed("ps", "-aq")) === "");
    expect(readdirSync(home.machines)).toEqual([]);
  });
});
