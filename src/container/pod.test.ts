import { describe, expect, test } from "bun:test";
import { guestKind } from "./kind.ts";
import { isInPod, POD_CONTAINERS, plainContainers } from "./pod.ts";

const CRI = { "io.kubernetes.cri.container-type": "container" };

function named(name: string, value: string) {
  return { ...CRI, "io.kubernetes.cri.container-name": name, [POD_CONTAINERS]: value };
}

describe("the containers of a pod that are no machines", () => {
  test("are named, with their ports", () => {
    expect(plainContainers(named("main", "proxy:15001/15006, exporter:9121,logger"))).toEqual([
      { name: "proxy", ports: [15001, 15006] },
      { name: "exporter", ports: [9121] },
      { name: "logger", ports: [] },
    ]);
    expect(plainContainers(CRI)).toBeUndefined();
    expect(plainContainers({ [POD_CONTAINERS]: "proxy" })).toBeUndefined();
  });

  test("are containers, and the others machines, whatever the annotations of the pod ask for", () => {
    const value = "proxy:15001";
    expect(guestKind({ annotations: named("proxy", value) }, "vm").kind).toBe("engine");
    expect(guestKind({ annotations: named("main", value) }, "vm").kind).toBe("vm");
    const crio = {
      "io.kubernetes.cri-o.ContainerType": "container",
      "io.kubernetes.container.name": "proxy",
    };
    expect(guestKind({ annotations: { ...crio, [POD_CONTAINERS]: value } }, "vm").kind).toBe("engine");
    expect(guestKind({ annotations: { ...named("proxy", value), "com.urunc.root.x": "y" } }, "vm").kind).toBe(
      "engine",
    );
  });

  test("a name alone makes no plain container where there is no pod", () => {
    const annotations = { "io.kubernetes.cri.container-name": "proxy", [POD_CONTAINERS]: "proxy" };
    expect(guestKind({ annotations }, "vm").kind).toBe("vm");
    expect(isInPod(annotations)).toBe(false);
  });

  test.each([
    "",
    "Proxy",
    "proxy:",
    "proxy:0",
    "proxy:61440",
    "proxy:1:2",
    "proxy:80/80",
    "a:80,b:80",
    `a:${Array.from({ length: 17 }, (_, at) => at + 1).join("/")}`,
  ])("%j is refused", (value) => {
    expect(() => plainContainers(named("main", value))).toThrow(POD_CONTAINERS);
  });
});
