import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildBootable, exportImage } from "../harness/bootable.ts";
import { type CommandResult, command, succeed, until } from "../harness/command.ts";
import { type DebianKernel, unpackDebianKernel } from "../harness/debian-kernel.ts";
import type { Docker } from "../harness/docker.ts";
import { dockerCommand } from "../harness/docker-layout.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { imageReference, startLoadedDocker } from "../harness/loaded-docker.ts";
import { openScreen } from "../harness/screen.ts";

/** Images that are booted by their own kernel and init, without the agent, under `docker run`. */

setDefaultTimeout(120_000);

const SHARE = resolve(import.meta.dir, "../../dist/share/urunc");
const URUNIT = { "/urunit": join(SHARE, "urunit") };
const LINUX = { unikernelType: "linux", hypervisor: "qemu", binary: "/.boot/kernel" };
const RUN = ["run", "--rm", "--runtime", "urunc"];
const SHELL = ["/urunit", "/bin/sh", "-c"];

/** In the order in which each needs those before it. */
const MODULES = [
  ...["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"],
  ...["failover", "net_failover", "virtio_net"],
];

let docker: Docker;
let files: string;
let debian: DebianKernel;
/** A kernel of which nothing is known: another build than ours, for who compares the two. */
let kernel: string;

beforeAll(async () => {
  docker = await startLoadedDocker("direct", ["busybox"]);
  files = join(docker.layout.directory, "files");
  const root = join(files, "root");
  await exportImage(docker, imageReference("busybox"), root);
  writeFileSync(join(root, "mark"), "of the root image\n");
  copyFileSync(join(SHARE, "urunit"), join(root, "urunit"));
  await succeed(["mkfs.ext2", "-q", "-d", root, join(files, "rootfs.ext2"), "24M"]);
  await packInitrd(root, "rootfs.initrd");
  await succeed(["sh", "-c", "gzip -1 <rootfs.initrd >rootfs.initrd.gz"], { cwd: files });
  kernel = join(files, "vmlinux");
  writeFileSync(kernel, Buffer.concat([readFileSync(join(SHARE, "vmlinux")), Buffer.alloc(16)]));
  writeFileSync(
    join(files, "bzImage"),
    Buffer.concat([readFileSync(join(SHARE, "bzImage")), Buffer.alloc(16)]),
  );
  debian = await unpackDebianKernel(files);
  await makeDebianRoot(root);

  await image("raw", {}, ["/urunit", "/bin/sh", "-c", "'echo", "joined;", "uname", "-r'"]);
  await image("bare", {}, ["/bin/busybox", "uname", "-r"]);
  await image("block", { block: "/rootfs", blkMntPoint: "/" }, ["/urunit", "/bin/cat", "/mark"], {
    "/.boot/kernel": join(files, "bzImage"),
    "/rootfs": join(files, "rootfs.ext2"),
  });
  await image("initrd", { initrd: "/rootfs" }, ["/urunit", "/bin/cat", "/mark"], {
    "/.boot/kernel": kernel,
    "/rootfs": join(files, "rootfs.initrd.gz"),
  });
  await image("debian", { initrd: "/rootfs" }, ["/urunit", "/bin/uname", "-rv"], {
    "/.boot/kernel": debian.image,
    "/rootfs": join(files, "debian.initrd"),
  });
}, 600_000);

afterAll(async () => {
  if (docker === undefined) return;
  await docker.stop();
  await expectNothingLeft([docker.layout.directory, docker.cgroup]);
}, 120_000);

function packInitrd(root: string, name: string): Promise<string> {
  return succeed(["sh", "-c", `cd ${root} && find . | cpio --quiet -H newc -o >${join(files, name)}`]);
}

/** Who waits for the machine's power button, and switches off. The keyboard is the other device. */
const LISTENER = `#!/bin/sh
mount -t devtmpfs dev /dev
insmod /modules/button.ko
insmod /modules/evdev.ko
exec 3</dev/input/event0 4</dev/input/event1
echo ready
for event in 3 4; do (head -c 24 <&$event >/dev/null && echo pressed && poweroff -f) & done
wait
`;

/** The same root with drivers, and who loads them before urunit. */
async function makeDebianRoot(root: string): Promise<void> {
  const modules = join(root, "modules");
  mkdirSync(modules);
  for (const name of [...MODULES, "button", "evdev"])
    copyFileSync(debian.module(name), join(modules, `${name}.ko`));
  const loads = MODULES.map((name) => `/bin/busybox insmod /modules/${name}.ko`);
  writeFileSync(join(root, "load-urunit"), `#!/bin/sh\n${loads.join("\n")}\nexec /urunit "$@"\n`, {
    mode: 0o755,
  });
  writeFileSync(join(root, "listener"), LISTENER, { mode: 0o755 });
  await packInitrd(root, "debian.initrd");
}

/** An image on busybox with urunit, or with these files alone. */
function image(
  name: string,
  annotations: Record<string, string>,
  command: readonly string[],
  own?: Record<string, string>,
): Promise<void> {
  return buildBootable(docker, files, {
    name,
    ...(own ? {} : { base: imageReference("busybox") }),
    files: own ?? { "/.boot/kernel": kernel, ...URUNIT },
    annotations: { ...LINUX, ...annotations },
    command,
    plain: name === "initrd",
  });
}

/** `docker run --rm --runtime urunc ARGS`, which must succeed; gives standard output. */
function output(args: readonly string[]): Promise<string> {
  return docker.succeed([...RUN, ...args]);
}

function run(args: readonly string[], stdin?: string | Uint8Array): Promise<CommandResult> {
  return docker.run([...RUN, ...args], stdin === undefined ? {} : { stdin });
}

/** A sentence of `docker run`, which must fail. */
async function refused(args: readonly string[]): Promise<string> {
  const { exitCode, stderr } = await run(args);
  expect(exitCode).not.toBe(0);
  return stderr;
}

describe.each(["raw", "block", "initrd", "debian"])("%s", (name) => {
  test("the exit status is the application's, whatever it ends by", async () => {
    const status = async (script: string) => (await run([name, ...SHELL, script])).exitCode;
    expect(await status("exit 7")).toBe(7);
    expect(await status("kill -9 $$")).toBe(137);
  });

  test("output is the application's alone, byte for byte, of a variable and a directory of its own", async () => {
    const script = "printf 'a\\r\\n\\tb\\n'; echo $WORDS; pwd; echo err >&2";
    const { stdout, stderr } = await run([
      ...["--env", "WORDS=of three words", "--workdir", "/made/for it", name],
      ...[...SHELL, script],
    ]);
    expect(stdout).toBe("a\r\n\tb\nof three words\n/made/for it\nerr\n");
    expect(stderr).toBe("");
  });

  test("a program that is not there is a status and a sentence", async () => {
    const { exitCode, stdout, stderr } = await run([name, "/urunit", "/no/such"]);
    expect([exitCode, stdout]).toEqual([127, ""]);
    expect(stderr).toContain("/no/such");
  });
});

describe("a raw image", () => {
  test("runs the application of its command, words between quotes joined", async () => {
    expect(await output(["raw"])).toMatch(/^joined\n6\.12.*-urunc$/);
  });

  test("has what Docker gives: volumes, hosts, resolvers, name, user, network", async () => {
    const volume = join(files, "volume");
    mkdirSync(volume, { mode: 0o777 });
    await succeed(["chmod", "777", volume]);
    writeFileSync(join(volume, "file"), "of the host\n");
    const lines = [
      "cat /v/file; echo back >/v/back",
      "grep -c given /etc/hosts; grep -c 10.9.9.9 /etc/resolv.conf; hostname; id -u; id -g",
      "ip -4 route | grep -c ^default",
    ];
    writeFileSync(join(volume, "script"), lines.join("\n"));
    const out = await output([
      ...["--volume", `${volume}:/v`, "--hostname", "named", "--add-host", "given:10.1.2.3"],
      ...["--dns", "10.9.9.9", "--user", "1000:100", "raw", "/urunit", "/bin/sh", "/v/script"],
    ]);
    expect(out.split("\n")).toEqual(["of the host", "1", "1", "named", "1000", "100", "1"]);
    expect(readFileSync(join(volume, "back"), "utf8")).toBe("back\n");
  });

  test("is reached over the network, and reaches it", async () => {
    const id = await docker.succeed([
      ...["run", "--detach", "--runtime", "urunc", "raw"],
      ...[...SHELL, "echo page >/index.html; ping -c 1 -W 5 172.30.0.1 && exec httpd -f -h /"],
    ]);
    const reached = async () => (await docker.succeed(["logs", id])).includes("1 packets received");
    await until("it has reached the host", reached);
    const format = "{{.NetworkSettings.IPAddress}}";
    const address = await docker.succeed(["inspect", "--format", format, id]);
    const fetch = [process.execPath, join(import.meta.dir, "../harness/fetch-text.ts"), `http://${address}/`];
    const page = () => command(docker.inNetwork(fetch));
    await until("it serves its page", async () => (await page()).stdout === "page\n");
    await docker.succeed(["rm", "--force", id]);
  });

  test("standard input arrives whole, with its end", async () => {
    const bytes = new Uint8Array(100_000).map((_, index) => (index * 31) % 256);
    const { stdout } = await run(["--interactive", "raw", "/urunit", "md5sum"], bytes);
    expect(stdout.split(" ")[0]).toBe(new Bun.CryptoHasher("md5").update(bytes).digest("hex"));
    expect((await run(["raw", "/urunit", "wc", "-c"])).stdout).toBe("0\n");
  });

  test("much output arrives whole", async () => {
    const { stdout } = await run(["raw", ...SHELL, "seq 1 20000"]);
    expect(stdout).toBe(`${Array.from({ length: 20_000 }, (_, n) => n + 1).join("\n")}\n`);
  });

  test("docker stop is a signal, and its end is the application's", async () => {
    const id = await docker.succeed([
      ...["run", "--detach", "--runtime", "urunc", "raw"],
      ...[...SHELL, "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.1; done"],
    ]);
    await until("it is ready", async () => (await docker.succeed(["logs", id])) === "ready");
    await docker.succeed(["stop", "--time", "60", id]);
    expect(await docker.succeed(["inspect", "--format", "{{.State.ExitCode}}", id])).toBe("3");
    expect(await docker.succeed(["logs", id])).toBe("ready\ngot");
    await docker.succeed(["rm", id]);
  });

  test("a terminal is the application's, with its size", async () => {
    const words = ["run", "--rm", "-it", "--runtime", "urunc", "raw", "/urunit", "/bin/sh"];
    const screen = openScreen(dockerCommand(docker.layout, words), { rows: 30, columns: 100 });
    await screen.see("# ");
    screen.type("stty size; tty\r");
    await screen.see("30 100\r\n/dev/ttyS0\r\n");
    screen.resize(31, 101);
    screen.type("sleep 1; stty size\r");
    await screen.see("31 101");
    screen.type("sh -c 'echo beg\"\"un; exec sleep 1000'\r");
    await screen.see("begun");
    screen.type("\x03");
    await screen.see("# ");
    screen.type("exit 5\r");
    expect(await screen.exited).toBe(5);
  });

  test("is asked for nothing that only the agent does", async () => {
    const id = await docker.succeed([
      ...["run", "--detach", "--runtime", "urunc", "raw", "/urunit", "sleep", "1000"],
    ]);
    const { exitCode, stdout, stderr } = await docker.run(["exec", id, "true"]);
    expect(exitCode).not.toBe(0);
    expect(stdout + stderr).toContain("without the agent");
    await docker.succeed(["pause", id]);
    await docker.succeed(["unpause", id]);
    await docker.succeed(["rm", "--force", id]);
  });
});

describe("a block image", () => {
  test("keeps what is written, is a clean file system afterwards, and is not written to with a read-only root", async () => {
    const script = "cat /mark; echo written >>/mark";
    const id = await docker.succeed(["create", "--runtime", "urunc", "block", ...SHELL, script]);
    expect(await docker.succeed(["start", "--attach", id])).toBe("of the root image");
    expect(await docker.succeed(["start", "--attach", id])).toBe("of the root image\nwritten");
    const copy = join(files, "afterwards.ext2");
    await docker.succeed(["cp", `${id}:/rootfs`, copy]);
    await docker.succeed(["rm", id]);
    // Not by its clock, which the guest's kernel has from the host.
    expect(await succeed(["dumpe2fs", "-h", copy])).toMatch(/Filesystem state: +clean/);
    const { stdout } = await run(["--read-only", "block", ...SHELL, "touch /new"]);
    expect(stdout).toContain("Read-only file system");
  });

  test("as a volume is mounted by urunit", async () => {
    await image("volume", { block: "/disk.ext2", blkMntPoint: "/data" }, ["/urunit", "cat", "/data/mark"], {
      ...{ "/.boot/kernel": kernel, ...URUNIT, "/bin/busybox": join(files, "root/bin/busybox") },
      ...{ "/bin/cat": join(files, "root/bin/busybox"), "/disk.ext2": join(files, "rootfs.ext2") },
    });
    expect(await output(["volume"])).toBe("of the root image");
  });
});

describe("an initrd", () => {
  test("has the client's files, and the image's own stays as it is", async () => {
    const script =
      "grep -c given /etc/hosts; grep -c 10.9.9.9 /etc/resolv.conf; ls -l /urunit.conf | cut -c 1-10; cat /mark";
    const id = await docker.succeed([
      ...["create", "--runtime", "urunc", "--add-host", "given:10.1.2.3", "--dns", "10.9.9.9"],
      ...["initrd", ...SHELL, script],
    ]);
    expect(await docker.succeed(["start", "--attach", id])).toBe("1\n1\n-rw-------\nof the root image");
    const copy = join(files, "afterwards.initrd");
    await docker.succeed(["cp", `${id}:/rootfs`, copy]);
    await docker.succeed(["rm", id]);
    expect(readFileSync(copy)).toEqual(readFileSync(join(files, "rootfs.initrd.gz")));
  });
});

describe("Debian's kernel", () => {
  test("is what runs", async () => {
    expect(await output(["debian"])).toMatch(/^6\.1\.\d.*-cloud-amd64 .*Debian/);
  });

  test("with its own drivers, loaded before urunit, is on the network", async () => {
    const script = "ping -c 1 -W 5 172.30.0.1 >/dev/null && echo reached; hostname";
    expect(await output(["--hostname", "named", "debian", "/load-urunit", "/bin/sh", "-c", script])).toBe(
      "reached\nnamed",
    );
  });
});

test("an init that is told of no signals has the power button pressed by docker stop", async () => {
  const id = await docker.succeed(["run", "--detach", "--runtime", "urunc", "debian", "/listener"]);
  await until("it listens", async () => (await docker.succeed(["logs", id])).includes("ready"));
  await docker.succeed(["stop", "--time", "60", id]);
  expect(await docker.succeed(["logs", id])).toMatch(/ready\r?\n(.*\n)*pressed/);
  expect(await docker.succeed(["inspect", "--format", "{{.State.ExitCode}}", id])).toBe("0");
  await docker.succeed(["rm", id]);
});

describe("an application that is the init itself", () => {
  test("runs, and its exit status is what the kernel says of it", async () => {
    const { stdout, exitCode } = await run(["bare"]);
    expect(stdout).toMatch(/^6\.12.*-urunc\r?\n/);
    expect(exitCode).toBe(0);
    expect((await run(["bare", "/bin/sh", "-c", "exit 9"])).exitCode).toBe(9);
    expect((await run(["bare", "/bin/sh", "-c", "poweroff -f"])).exitCode).toBe(0);
  });

  test("and a kernel that finds none has panicked", async () => {
    const { exitCode, stderr } = await run(["bare", "/no/such"]);
    expect(exitCode).toBe(255);
    expect(stderr).toContain("the image's kernel has panicked: Requested init /no/such failed");
  });

  test("that hears no signal is killed when docker stop's time is over", async () => {
    const id = await docker.succeed(["run", "--detach", "--runtime", "urunc", "bare", "/bin/sleep", "1000"]);
    await docker.succeed(["stop", "--time", "1", id]);
    expect(await docker.succeed(["inspect", "--format", "{{.State.ExitCode}}", id])).toBe("137");
    await docker.succeed(["rm", id]);
  });
});

test("an image may ask for this way with our kernel", async () => {
  await image("asks", { boot: "direct", binary: "" }, [...SHELL, "cat /proc/cmdline"], {
    ...URUNIT,
    "/bin/sh": join(files, "root/bin/busybox"),
    "/bin/cat": join(files, "root/bin/busybox"),
  });
  expect(await output(["asks"])).toMatch(
    / root=fs0 rw rootfstype=virtiofs ip=172\.30\..* -- \/bin\/sh -c 'cat \/proc\/cmdline'$/,
  );
});

test("what a command line cannot say is a sentence of docker run that names the agent", async () => {
  expect(await refused(["raw", "/urunit", "echo", "x".repeat(2000)])).toContain("keeps 2047 of them");
  const many = Array.from({ length: 33 }, () => "x");
  const sentence = await refused(["raw", "/urunit", ...many]);
  expect(sentence).toContain("33 words");
  expect(sentence).toContain("our kernel and its agent run the image");
  expect(await refused(["--volume", "/srv:/data", "block"])).toContain("the volume at /data cannot reach");
  expect(await docker.succeed(["ps", "--all", "--quiet"])).toBe("");
});

test("urunit in a container without a machine is an init as well", async () => {
  const plain = ["run", "--rm", "--runtime", "runc", "raw"];
  const { exitCode, stdout } = await docker.run([...plain, ...SHELL, "echo plain; exit 6"]);
  expect([exitCode, stdout]).toEqual([6, "plain\n"]);
});
