import { describe, expect, test } from "bun:test";
import { parse } from "smol-toml";
import { configVersion, importsOf, usesSystemd, withHandler, withoutHandler } from "./containerd-config.ts";

const HANDLER = { program: "/opt/urunc/bin/urunc", systemdCgroup: true };
const TOML = { kind: "toml" } as const;

/** What `containerd config default` and kubeadm's users have, in short. */
const V2 = `# a comment
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.9"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
`;
const V3 = V2.replace("version = 2", "version = 3").replaceAll(
  '"io.containerd.grpc.v1.cri"',
  "'io.containerd.cri.v1.runtime'",
);
const V4 = V3.replace("version = 3", "version = 4");
const V1 = V2.replace("version = 2\n", "").replaceAll('"io.containerd.grpc.v1.cri"', "cri");

// biome-ignore lint/suspicious/noExplicitAny: of any shape
function handlerOf(text: string, plugin: string): any {
  // biome-ignore lint/suspicious/noExplicitAny: of any shape
  return (parse(text) as any).plugins[plugin].containerd.runtimes.urunc;
}

describe("the handler in containerd's configuration", () => {
  for (const [version, text, plugin] of [
    [1, V1, "cri"],
    [2, V2, "io.containerd.grpc.v1.cri"],
    [3, V3, "io.containerd.cri.v1.runtime"],
    [4, V4, "io.containerd.cri.v1.runtime"],
  ] as const) {
    test(`version ${version}: added under its plugin, with every other byte as it was`, () => {
      const added = withHandler(text, TOML, HANDLER);
      expect(added.startsWith(text)).toBe(true);
      expect(handlerOf(added, plugin)).toEqual({
        runtime_type: "io.containerd.runc.v2",
        pod_annotations: ["com.urunc.unikernel.*", "com.urunc.pod.*"],
        options: { BinaryName: "/opt/urunc/bin/urunc", SystemdCgroup: true },
      });
      expect(configVersion(added)).toBe(version);
      expect(withHandler(added, TOML, HANDLER)).toBe(added);
      expect(withoutHandler(added)).toBe(text);
    });

    test(`version ${version}: who makes the control groups is seen`, () => {
      expect(usesSystemd([text])).toBe(true);
      const without = text.replace("SystemdCgroup = true", "");
      expect(usesSystemd([without])).toBe(false);
      // The last file that says it.
      expect(usesSystemd([without, V3, "[debug]"])).toBe(true);
      expect(usesSystemd([text, V3.replace("= true", "= false")])).toBe(false);
    });
  }

  test("what it imports is found", () => {
    expect(importsOf("version = 4\nimports = ['/etc/containerd/conf.d/*.toml', 'more.toml']\n")).toEqual([
      "/etc/containerd/conf.d/*.toml",
      "more.toml",
    ]);
    expect(importsOf(V2)).toEqual([]);
  });

  test("a file without a last line's end gets it back without one", () => {
    const text = "version = 2";
    expect(withoutHandler(withHandler(text, TOML, HANDLER))).toBe(text);
  });

  test("what was added is replaced when it is to be another", () => {
    const first = withHandler(V2, TOML, HANDLER);
    const second = withHandler(first, TOML, { ...HANDLER, systemdCgroup: false });
    expect(handlerOf(second, "io.containerd.grpc.v1.cri").options.SystemdCgroup).toBe(false);
    expect(withoutHandler(second)).toBe(V2);
  });

  test("what others write behind it stays", () => {
    const added = `${withHandler(V2, TOML, HANDLER)}[debug]\n`;
    expect(withoutHandler(added)).toBe(`${V2}[debug]\n`);
  });

  test("without a file one is made, and is taken away", () => {
    const made = withHandler(undefined, TOML, HANDLER);
    expect(handlerOf(made, "io.containerd.grpc.v1.cri").options.BinaryName).toBe(HANDLER.program);
    expect(withHandler(made, TOML, HANDLER)).toBe(made);
    expect(withoutHandler(made)).toBeUndefined();
    expect(withoutHandler(`${made}[debug]\n`)).toBe("version = 2\n[debug]\n");
  });

  test("k3s's template: the base one stays in it", () => {
    const made = withHandler(undefined, { kind: "template", version: 3 }, HANDLER);
    expect(made.startsWith('{{ template "base" . }}\n')).toBe(true);
    expect(made).toContain('[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.urunc]\n');
    expect(withoutHandler(made)).toBeUndefined();
    const own = '{{ template "base" . }}\n[debug]\n';
    const added = withHandler(own, { kind: "template", version: 2 }, HANDLER);
    expect(added).toContain('[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc]\n');
    expect(withoutHandler(added)).toBe(own);
  });

  test("what cannot be done is refused with what to do", () => {
    const named = `${V2}[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc]\n`;
    expect(() => withHandler(named, TOML, HANDLER)).toThrow("has a handler urunc already");
    const template = "{{ x }}\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.urunc]\n";
    expect(() => withHandler(template, { kind: "template", version: 3 }, HANDLER)).toThrow("already");
    expect(() => withHandler('disabled_plugins = ["cri"]\n', TOML, HANDLER)).toThrow("disabled_plugins");
    const off = 'version = 3\ndisabled_plugins = ["io.containerd.cri.v1.images"]\n';
    expect(() => withHandler(off, TOML, HANDLER)).toThrow('take "io.containerd.cri.v1.images" out');
    const other = 'version = 3\ndisabled_plugins = ["io.containerd.nri.v1.nri"]\n';
    expect(withHandler(other, TOML, HANDLER)).toStartWith(other);
    expect(() => withHandler("version = 9\n", TOML, HANDLER)).toThrow("version 9");
    expect(() => withHandler("version = \n", TOML, HANDLER)).toThrow("not valid TOML");
    const inline = 'version = 2\nplugins = {"io.containerd.grpc.v1.cri" = {}}\n';
    expect(() => withHandler(inline, TOML, HANDLER)).toThrow("not valid TOML");
    const half = withHandler(V2, TOML, HANDLER).replace(/# <<<.*\n/, "");
    expect(() => withoutHandler(half)).toThrow("by hand");
  });
});
