import { expect, test } from "bun:test";
import { planLabelled } from "./labelled.ts";
import type { Process } from "./plan.ts";

const PREFIX = "com.urunc.unikernel.";
const short = (annotations: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(annotations).map(([key, value]) => [key.slice(PREFIX.length), value]));

test("an image that says nothing is Linux by our kernel and init, with its own files as the root", () => {
  const plan = planLabelled({ Entrypoint: ["/app"], Cmd: ["x"], Labels: { other: "kept" } });
  expect(plan).toMatchObject({ kernel: true, urunit: true });
  expect(short(plan.annotations)).toEqual({
    binary: "/.boot/kernel",
    hypervisor: "qemu",
    mountRootfs: "true",
    unikernelType: "linux",
  });
  expect(plan.process.Entrypoint).toEqual(["/urunit", "/app"]);
  expect(plan.process.Labels).toEqual({ other: "kept", ...plan.annotations });
});

test("what labels say stays, and an initrd or a block image that they name is the root", () => {
  const labels = {
    [`${PREFIX}binary`]: "/k",
    [`${PREFIX}block`]: "/disk",
    [`${PREFIX}hypervisor`]: "firecracker",
  };
  const plan = planLabelled({ Labels: labels });
  expect(plan.kernel).toBe(false);
  expect(short(plan.annotations)).toEqual({
    binary: "/k",
    blkMntPoint: "/",
    block: "/disk",
    hypervisor: "firecracker",
    mountRootfs: "false",
    unikernelType: "linux",
  });
});

test("our init is left out where a label says so, or what boots is not Linux", () => {
  const declined = planLabelled({ Entrypoint: ["/app"], Labels: { "bunny.urunit": "false" } });
  expect(declined.urunit).toBe(false);
  expect(declined.process.Entrypoint).toEqual(["/app"]);
  expect(planLabelled({ Labels: { [`${PREFIX}unikernelType`]: "unikraft" } }).urunit).toBe(false);
});

test("an init that the entrypoint begins with is not put there twice", () => {
  expect(planLabelled({ Entrypoint: ["/urunit", "/app"] }).process.Entrypoint).toEqual(["/urunit", "/app"]);
  const command = planLabelled<Process>({ Cmd: ["/urunit", "/app", "x"] }).process;
  expect([command.Entrypoint, command.Cmd]).toEqual([["/urunit"], ["/app", "x"]]);
  expect(planLabelled(undefined).process.Entrypoint).toEqual(["/urunit"]);
});
