import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { parseBunnyfile } from "../bunnyfile/parse.ts";
import { planImage } from "../bunnyfile/plan.ts";
import { definitionOf } from "./llb.ts";
import { imageSource, Lowering, type Materials } from "./lower.ts";
import { type Op, OpSchema } from "./protocol/llb_pb.ts";

const platform = { os: "linux", architecture: "amd64" };
const materials: Materials = {
  frontend: imageSource("registry.test/bunny:1", "default", { name: "bunny", platform }),
  platform,
  context: { name: "context", session: "s1" },
  pinned: new Map([["docker.io/library/redis:7", "docker.io/library/redis:7@sha256:1"]]),
  resolveMode: "default",
  time: 0,
  clamps: false,
  ignoreCache: false,
  severalPlatforms: false,
};

const START = "version: v0.1\nplatforms: {framework: linux, monitor: qemu}\n";

interface Step {
  name: string;
  op: Op["op"];
}

/** The steps of a bunnyfile's build, in their order. */
function stepsOf(
  text: string,
  changed: Partial<Materials> = {},
  architecture: "amd64" | "arm64" = "amd64",
): Step[] {
  const plan = planImage(parseBunnyfile(START + text, "bunnyfile"), architecture);
  const { def, metadata } = definitionOf(new Lowering(plan, { ...materials, ...changed }).all(true, text));
  return def.slice(0, -1).map((bytes) => {
    const digest = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
    return {
      name: metadata[digest]?.description["llb.customname"] ?? "",
      op: fromBinary(OpSchema, bytes).op,
    };
  });
}

const namesOf = (steps: readonly Step[]) => steps.map(({ name }) => name);
const sourcesOf = (steps: readonly Step[]) =>
  steps.flatMap(({ op }) => (op.case === "source" ? [[op.value.identifier, op.value.attrs] as const] : []));

describe("the steps of a bunnyfile", () => {
  test("put the files, the kernel and what boots it on a raw root's base", () => {
    const steps = stepsOf(
      "kernel: {from: builtin}\nrootfs: {from: 'redis:7', include: ['redis.conf:/etc/redis.conf']}\n",
    );
    expect(namesOf(steps)).toEqual([
      "[base] redis:7",
      "[context] load the build's context",
      "[files] include redis.conf",
      "bunny",
      "[kernel] ours at /.boot/kernel",
      "[boot] our init and /urunc.json",
    ]);
    expect(sourcesOf(steps)).toEqual([
      ["docker-image://docker.io/library/redis:7@sha256:1", {}],
      [
        "local://context",
        {
          "local.followpaths": '["redis.conf"]',
          "local.session": "s1",
          "local.sharedkeyhint": "context",
        },
      ],
      ["docker-image://registry.test/bunny:1", {}],
    ]);
  });

  test("make an initrd by our own program, of images that it sees as directories", () => {
    const steps = stepsOf(
      "kernel: {from: local, path: vmlinux}\n" +
        "rootfs: {from: 'redis:7', type: initrd, include: [{from: busybox, source: /bin/sh, destination: /bin/}]}\n",
    );
    const made = steps.find(({ name }) => name.startsWith("[initrd] make"));
    expect(made?.name).toBe("[initrd] make /.boot/rootfs of redis:7");
    if (made?.op.case !== "exec") throw new Error("nothing is run");
    expect(made.op.value.meta?.args).toEqual([
      ...["/usr/bin/bunny", "frontend", "root", "--file", "/work/file/bunnyfile", "--name=bunnyfile"],
      ...["--platform", "linux/amd64", "--urunit"],
      "--image=docker.io/library/busybox:latest=/work/images/0",
      "--image=docker.io/library/redis:7=/work/images/1",
      ...["--output", "/work/result/.boot/rootfs"],
    ]);
    expect(made.op.value.mounts.map(({ dest }) => dest)).toEqual([
      ...["/", "/work/file", "/work/images/0", "/work/images/1", "/work/result"],
    ]);
  });

  test("take the whole context where a path is a pattern for BuildKit, or all of it", () => {
    for (const path of [".", "a*b", "a[1]"]) {
      const steps = stepsOf(`kernel: {from: builtin}\nrootfs: {include: ['${path}:/x']}\n`);
      expect(sourcesOf(steps)[0]?.[1]).not.toHaveProperty("local.followpaths");
    }
  });

  test("say which platform they are for where there are several, and run programs on the builder's", () => {
    const arm = "kernel: {from: local, path: 'k-{architecture}'}\nrootfs: {from: busybox, type: block}\n";
    const steps = stepsOf(arm, { severalPlatforms: true }, "arm64");
    expect(namesOf(steps)).toContain("[linux/arm64 kernel] k-arm64 at /.boot/kernel");
    const plan = planImage(parseBunnyfile(START + arm, "bunnyfile"), "arm64");
    const { def } = definitionOf(new Lowering(plan, materials).all(false, arm));
    const ops = def.map((bytes) => fromBinary(OpSchema, bytes));
    expect(ops.find(({ op }) => op.case === "exec")?.platform?.architecture).toBe("amd64");
    const base = ops.find(({ op }) => op.case === "source" && op.value.identifier.includes("busybox"));
    expect(base?.platform?.architecture).toBe("arm64");
  });

  test("hand SOURCE_DATE_EPOCH on to our program, and nothing where it is not set", () => {
    const text = "kernel: {from: builtin}\nrootfs: {from: busybox, type: initrd}\n";
    const environmentOf = (changed: Partial<Materials>) => {
      const made = stepsOf(text, changed).find(({ op }) => op.case === "exec")?.op;
      return made?.case === "exec" ? made.value.meta?.env : undefined;
    };
    expect(environmentOf({ time: 5, clamps: true })).toContain("SOURCE_DATE_EPOCH=5");
    expect(environmentOf({})).toEqual(["PATH=/usr/bin:/usr/sbin"]);
  });

  test("ask registries as the build was asked to", () => {
    const steps = stepsOf("kernel: {from: builtin}\nrootfs: {from: busybox}\n", { resolveMode: "pull" });
    expect(sourcesOf(steps)[0]).toEqual([
      "docker-image://docker.io/library/busybox:latest",
      { "image.resolvemode": "pull" },
    ]);
  });
});
