import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parse } from "smol-toml";
import { command, succeed } from "../harness/command.ts";
import { findNewer } from "../harness/newer-clients.ts";
import { runtimePath } from "../harness/runtime.ts";

setDefaultTimeout(120_000);

const directory = mkdtempSync(join(tmpdir(), "urunc-k8s-node-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const CONFIG = "etc/containerd/config.toml";
const K3S = "var/lib/rancher/k3s/agent/etc/containerd";

/** A host's root directory with these files. */
function hostWith(files: Record<string, string>): string {
  const root = mkdtempSync(join(directory, "host-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** The names below a directory, sorted. */
function treeOf(root: string): string[] {
  return readdirSync(root, { recursive: true }).map(String).sort();
}

function node(what: "install" | "remove", root: string) {
  return succeed([runtimePath, "node", what, "--host-root", root, "--no-restart"]);
}

describe("urunc node", () => {
  test("install, again, and remove: containerd understands it, and its file has the bytes of before", async () => {
    const before = await succeed(["containerd", "config", "default"]);
    const root = hostWith({ [CONFIG]: before, "etc/other": "stays\n" });
    const listed = treeOf(root);

    expect(await node("install", root)).toContain(`changed: /${CONFIG}`);
    const configured = readFileSync(join(root, CONFIG), "utf8");
    const dump = await succeed(["containerd", "--config", join(root, CONFIG), "config", "dump"]);
    expect(dump).toContain('BinaryName = "/opt/urunc/bin/urunc"');
    const program = join(root, "opt/urunc/bin/urunc");
    expect(await succeed([program, "--version"])).toBe(await succeed([runtimePath, "--version"]));
    expect(realpathSync(join(root, "opt/urunc/libexec/urunc/runc"))).toBe(program);
    expect(existsSync(join(root, "opt/urunc/share/urunc/vmlinux"))).toBe(true);

    expect(await node("install", root)).toContain("as it was");
    expect(readFileSync(join(root, CONFIG), "utf8")).toBe(configured);

    expect(await node("remove", root)).toContain(`changed: /${CONFIG}`);
    expect(await node("remove", root)).toContain("as it was");
    expect(readFileSync(join(root, CONFIG), "utf8")).toBe(before);
    expect(treeOf(root)).toEqual([...listed, "opt"].sort());
  });

  const containerd2 = findNewer("containerd", "2.0");

  /** The handler as containerd 2 has it, from a file of whatever version. */
  async function handlerIn(root: string): Promise<unknown> {
    const dump = await succeed([containerd2?.path ?? "", "--config", join(root, CONFIG), "config", "dump"]);
    // biome-ignore lint/suspicious/noExplicitAny: of any shape
    return (parse(dump) as any).plugins["io.containerd.cri.v1.runtime"].containerd.runtimes.urunc;
  }

  const handler = (systemdCgroup: boolean) => ({
    runtime_type: "io.containerd.runc.v2",
    pod_annotations: ["com.urunc.unikernel.*", "com.urunc.pod.*"],
    options: { BinaryName: "/opt/urunc/bin/urunc", SystemdCgroup: systemdCgroup },
  });

  test.skipIf(containerd2 === undefined)(
    "containerd 2 understands it too: its own, a short and no file",
    async () => {
      const own = await succeed([containerd2?.path ?? "", "config", "default"]);
      for (const before of [own, "version = 3\n", undefined]) {
        const root = hostWith(before === undefined ? {} : { [CONFIG]: before });
        await node("install", root);
        expect(await handlerIn(root)).toMatchObject(handler(false));
        await node("remove", root);
        const path = join(root, CONFIG);
        expect(existsSync(path) ? readFileSync(path, "utf8") : undefined).toBe(before as string);
      }
    },
  );

  test.skipIf(containerd2 === undefined)(
    "what its file imports counts as containerd 2 reads it",
    async () => {
      const runc = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]";
      const files = {
        [CONFIG]: "version = 3\nimports = ['conf.d/*.toml']\n",
        "etc/containerd/conf.d/10-runc.toml": `version = 3\n${runc}\noptions = { SystemdCgroup = true }\n`,
      };
      const root = hostWith(files);
      await node("install", root);
      expect(await handlerIn(root)).toMatchObject(handler(true));
      const named = { "etc/containerd/conf.d/20-urunc.toml": `${runc.replace("runc]", "urunc]")}\n` };
      const { stderr, exitCode } = await command([
        ...[runtimePath, "node", "install", "--host-root", hostWith({ ...files, ...named }), "--no-restart"],
      ]);
      expect(exitCode).toBe(1);
      expect(stderr).toContain("has a handler urunc already");
    },
  );

  test("the installation on the node installs itself again", async () => {
    const root = hostWith({});
    await node("install", root);
    const program = join(root, "opt/urunc/bin/urunc");
    await succeed([program, "node", "install", "--host-root", root, "--no-restart"]);
    expect((await command([program, "--version"])).exitCode).toBe(0);
    await node("remove", root);
    expect(existsSync(join(root, CONFIG))).toBe(false);
  });

  test("k3s: the template of the version that it has, and nothing else", async () => {
    const config = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n";
    const root = hostWith({ [`${K3S}/config.toml`]: `${config}SystemdCgroup = true\n` });
    expect(await node("install", root)).toContain("config-v3.toml.tmpl");
    const template = readFileSync(join(root, K3S, "config-v3.toml.tmpl"), "utf8");
    expect(template).toStartWith('{{ template "base" . }}\n');
    expect(template).toContain("SystemdCgroup = true");
    expect(readFileSync(join(root, K3S, "config.toml"), "utf8")).toBe(`${config}SystemdCgroup = true\n`);
    await node("remove", root);
    expect(existsSync(join(root, K3S, "config-v3.toml.tmpl"))).toBe(false);
  });

  test("a configuration that is not understood stays, and nothing is put beside it", async () => {
    const root = hostWith({ [CONFIG]: 'disabled_plugins = ["cri"]\n' });
    const { stderr, exitCode } = await command([
      ...[runtimePath, "node", "install", "--host-root", root, "--no-restart"],
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("disabled_plugins");
    expect(treeOf(root)).toEqual(["etc", "etc/containerd", CONFIG]);
  });
});
