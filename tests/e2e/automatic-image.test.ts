import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, succeed, until } from "../harness/command.ts";
import { type Docker, startDocker } from "../harness/docker.ts";
import { ensureImage } from "../harness/images.ts";
import { expectNothingLeft } from "../harness/leaks.ts";
import { type Call, openRuntime, type Runtime, runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(180_000);

const LAYERED = "urunc-test/layered";
const DEBIAN = "urunc-test/debian";

let docker: Docker;
let runtime: Runtime;
/** Of the tests: the program that Docker calls, the configuration that it gives, and the images. */
let directory: string;
let env: Record<string, string>;

beforeAll(async () => {
  const { archive } = await ensureImage("debian");
  directory = mkdtempSync(join(tmpdir(), "urunc-image-"));
  const configuration = join(directory, "config.toml");
  env = { ...(process.env as Record<string, string>), URUNC_CONFIG_FILE: configuration };
  const program = join(directory, "urunc");
  writeFileSync(program, `#!/bin/sh\nURUNC_CONFIG_FILE=${configuration} exec ${runtimePath} "$@"\n`, {
    mode: 0o755,
  });
  configure({});
  runtime = openRuntime();
  docker = await startDocker({ name: "image", runtime: program });
  await docker.succeed(["load", "--input", archive]);
  await makeLayered();
}, 600_000);

afterAll(async () => {
  await runtime?.remove();
  if (docker !== undefined) {
    await docker.stop();
    await expectNothingLeft([docker.layout.directory, docker.cgroup]);
  }
  if (directory !== undefined) rmSync(directory, { recursive: true });
}, 120_000);

function configure(keys: Record<string, string | number>): void {
  const all = { way: "image", directory: join(directory, "images"), ...keys };
  const lines = Object.entries(all).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  // Twenty machines that start at once take turns.
  const runtimeLines = ["[runtime]", "boot_timeout_ms = 170000"];
  const text = ["[log]", 'level = "debug"', ...runtimeLines, "[rootfs]", ...lines, ""].join("\n");
  writeFileSync(join(directory, "config.toml"), text);
}

/** Two layers over Debian's, the upper of which removes and replaces what the lower one has. */
async function makeLayered(): Promise<void> {
  const steps = [
    "mkdir -p /opt/app/old /opt/kept /srv; echo 1 > /opt/app/old/f; ln /opt/app/old/f /opt/kept/same; echo x > /opt/gone; " +
      "chown 1000:33 /opt/kept; chmod 2750 /opt/kept; mkfifo -m 640 /opt/pipe; cp /bin/true /srv/tool; " +
      "setcap cap_net_raw+ep /srv/tool; touch -d @86400.5 /opt/kept/same",
    "rm -r /opt/app /opt/gone; mkdir /opt/app; echo 2 > /opt/app/g; ln -s ../none /opt/kept/link; ln /opt/kept/same " +
      "/opt/kept/too; rm /etc/nsswitch.conf; mkdir /etc/nsswitch.conf; chmod 700 /home/user; chmod 4755 /opt/kept/same",
  ];
  let image = DEBIAN;
  for (const [index, step] of steps.entries()) {
    const id = await docker.succeed(["create", "--runtime", "runc", image, "sh", "-ec", step]);
    await docker.succeed(["start", "--attach", id]);
    image = index === steps.length - 1 ? LAYERED : `${LAYERED}-${index}`;
    await docker.succeed(["commit", id, image]);
    await docker.succeed(["rm", id]);
  }
}

/** All files with what they are; Docker makes those that are left out for each container. */
const LEFT_OUT = [
  "/.dockerenv",
  "/proc",
  "/sys",
  "/dev",
  "/etc/resolv.conf",
  "/etc/hosts",
  "/etc/hostname",
  "/etc/mtab",
];
const LISTED = [
  `find / -xdev \\( -path ${LEFT_OUT.join(" -o -path ")} \\) -prune -o \\( -type d -printf '%p d %m %U:%G\\n' -o ` +
    "-printf '%p %y %m %U:%G %n %s %T@ %l\\n' \\) | sort",
  "find /etc /opt /srv -xdev -type f | grep -v '^/etc/\\(resolv.conf\\|host\\)' | sort | xargs sha256sum",
  "getcap -r /srv; id; cat /opt/app/*",
].join("; ");

const runWith = (name: "urunc" | "runc", args: readonly string[]) =>
  docker.succeed(["run", "--rm", "--runtime", name, ...args]);

/** The images in the cache. */
function cached(): string[] {
  const images = join(directory, "images/images");
  return existsSync(images) ? readdirSync(images).map((key) => join(images, key, "root.img")) : [];
}

describe("a container by Docker", () => {
  test("has all the files that it has with runc, with their owners, modes, links, times and capabilities", async () => {
    const options = ["--hostname", "h", LAYERED, "sh", "-c", LISTED];
    const wanted = await runWith("runc", options);
    expect(wanted).toContain("/opt/kept/same f 4755 0:0 2 ");
    expect(wanted).toContain("/srv/tool cap_net_raw=ep");
    expect(wanted).not.toContain("/opt/gone");
    expect(await runWith("urunc", options)).toBe(wanted);
    const erofs = cached();
    expect(erofs).toHaveLength(1);
    configure({ format: "ext4" });
    const script =
      "touch /tmp/x; touch /opt/kept/x; ls /opt; grep '^root / ' /proc/self/mounts; exec 3< /opt/app/g; cat <&3";
    const readOnly = ["run", "--rm", "--runtime", "urunc", "--read-only", "--tmpfs", "/tmp", LAYERED];
    const { stdout, stderr } = await docker.run([...readOnly, "sh", "-c", script]);
    expect(stderr).toContain("cannot touch '/opt/kept/x': Read-only file system");
    expect(stderr).not.toContain("/tmp/x");
    expect(stdout).toMatch(/^app\nkept\npipe\nroot \/ overlay ro,.*lowerdir=\/layer:\/lower,.*\n2\n$/);
    expect(cached()).toHaveLength(2);
    configure({});
  });

  test("has what was copied into it before, its volumes and its names", async () => {
    const volume = join(directory, "volume");
    mkdirSync(volume);
    writeFileSync(join(volume, "given"), "by the host\n");
    writeFileSync(join(directory, "copied"), "before the start\n");
    const script =
      "cat /opt/copied /data/given; echo in the guest > /data/made; grep one /etc/hosts; cat /etc/resolv.conf; " +
      "hostname";
    const id = await docker.succeed([
      ...["create", "--runtime", "urunc", "--volume", `${volume}:/data`, "--add-host", "one:192.0.2.1"],
      ...["--dns", "192.0.2.53", "--hostname", "named", LAYERED, "sh", "-c", script],
    ]);
    await docker.succeed(["cp", join(directory, "copied"), `${id}:/opt/copied`]);
    const stdout = await docker.succeed(["start", "--attach", id]);
    expect(stdout).toStartWith("before the start\nby the host\n192.0.2.1\tone\n");
    expect(stdout).toContain("nameserver 192.0.2.53\n");
    expect(stdout).toEndWith("\nnamed");
    expect(readFileSync(join(volume, "made"), "utf8")).toBe("in the guest\n");
    await docker.succeed(["rm", id]);
  });

  test("keeps what it has changed from stop to start where that is to stay, and takes it along", async () => {
    configure({ changes: "persist" });
    const script = "echo x >> /opt/count; rm -f /opt/pipe; wc -l < /opt/count; ls /opt";
    const id = await docker.succeed(["create", "--runtime", "urunc", LAYERED, "sh", "-c", script]);
    expect(await docker.succeed(["start", "--attach", id])).toBe("1\napp\ncount\nkept");
    writeFileSync(join(directory, "later"), "");
    await docker.succeed(["cp", join(directory, "later"), `${id}:/opt/later`]);
    expect(await docker.succeed(["start", "--attach", id])).toBe("2\napp\ncount\nkept\nlater");
    const changes = async () =>
      (await succeed(["find", docker.layout.directory, "-name", "urunc-changes.ext4"])).trim().split("\n");
    expect(await changes()).toEqual([expect.stringContaining("overlay2")]);
    await docker.succeed(["rm", id]);
    expect(await changes()).toEqual([""]);
    configure({});
  });
});

describe("containers of one image", () => {
  /** Layers of the image, the topmost first, as Docker has them. */
  let lower: string;
  let count = 0;

  beforeAll(async () => {
    const id = await docker.succeed(["create", LAYERED, "true"]);
    lower = await docker.succeed(["inspect", "--format", "{{.GraphDriver.Data.LowerDir}}", id]);
  });

  /** A root over the image's layers, and a bundle for it. */
  async function plan(layers = lower): Promise<{ id: string; bundle: string; rootfs: string }> {
    const id = runtime.newId();
    const bundle = join(runtime.directory, `bundle-${++count}`);
    const rootfs = join(bundle, "merged");
    for (const name of ["upper", "work", "merged"]) mkdirSync(join(bundle, name), { recursive: true });
    const options = `lowerdir=${layers},upperdir=${bundle}/upper,workdir=${bundle}/work`;
    await succeed(["mount", "-t", "overlay", "overlay", "-o", options, rootfs]);
    await succeed(["runc", "spec", "--bundle", bundle]);
    const config = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8"));
    config.root.path = rootfs;
    config.process.terminal = false;
    config.process.args = ["sleep", "1000"];
    config.linux.cgroupsPath = `/${id}`;
    writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
    return { id, bundle, rootfs };
  }

  const create = ({ id, bundle }: { id: string; bundle: string }) =>
    runtime.succeed(["create", "--bundle", bundle, id], { env });

  /** Creates and starts it; gives the call of the former. */
  async function start(planned: { id: string; bundle: string }): Promise<Call> {
    const created = await create(planned);
    await runtime.succeed(["start", planned.id], { env });
    return created;
  }

  async function remove({ id, rootfs }: { id: string; rootfs: string }): Promise<void> {
    await runtime.succeed(["delete", "--force", id], { env });
    await succeed(["umount", rootfs]);
  }

  test("twenty at once make its image once, which stays as long as one of them is there", async () => {
    configure({ directory: join(directory, "many"), cache_mb: 1 });
    const images = join(directory, "many/images");
    const planned = await Promise.all(Array.from({ length: 20 }, () => plan()));
    const calls = await Promise.all(planned.map(start));
    const made = calls.flatMap(({ log }) => log.filter(({ msg }) => msg.includes("layers was made in")));
    expect(made).toHaveLength(1);
    const [key, ...others] = readdirSync(images);
    expect(others).toEqual([]);
    const image = join(images, key as string, "root.img");
    expect(statSync(image).nlink).toBe(21);
    expect(readdirSync(join(directory, "many/containers"))).toHaveLength(20);
    for (const { id } of planned) {
      expect((await runtime.succeed(["exec", id, "cat", "/opt/app/g"], { env })).stdout).toBe("2\n");
    }

    // Another image's, with no room for both.
    const [, ...without] = lower.split(":");
    const other = await plan(without.slice(1).join(":"));
    await create(other);
    expect(readdirSync(images)).toHaveLength(2);
    await Promise.all(planned.map(remove));
    expect(statSync(image).nlink).toBe(1);
    await remove(other);
    expect(readdirSync(join(directory, "many/containers"))).toEqual([]);
    const third = await plan(without.slice(2).join(":"));
    await create(third);
    expect(existsSync(image)).toBe(false);
    expect(readdirSync(images)).toHaveLength(1);
    await remove(third);
  });

  test("one that is killed while it makes the image leaves nothing that stays", async () => {
    configure({ directory: join(directory, "killed") });
    const images = join(directory, "killed/images");
    const planned = await plan();
    const whole = () => readdirSync(images).some((key) => existsSync(join(images, key, "root.img")));
    await until("an image is half made", async () => {
      rmSync(join(directory, "killed"), { recursive: true, force: true });
      const call = runtime.begin(["create", "--bundle", planned.bundle, planned.id], { env });
      await until("it is begun", () => existsSync(images) && readdirSync(images).length > 0, 60_000, 1);
      process.kill(call.pid, "SIGKILL");
      await call.ended;
      if (!whole()) return true;
      await command([runtimePath, "--root", runtime.root, "delete", "--force", planned.id]);
      return false;
    });
    const [left] = readdirSync(images);
    expect(readdirSync(join(directory, "killed/containers"))).toHaveLength(1);
    await create(planned);
    expect(readdirSync(images)).toEqual([left as string]);
    expect(readdirSync(join(images, left as string))).toEqual(["root.img"]);
    expect(readdirSync(join(directory, "killed/containers"))).toHaveLength(1);
    await remove(planned);
    configure({});
  });
});
