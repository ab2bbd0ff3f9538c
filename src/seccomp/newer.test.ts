import { expect, test } from "bun:test";
import { INSTRUCTION, refuseNewer } from "./newer.ts";

const X86_64 = 0xc000003e;
const X86 = 0x40000003;
const ARM = 0x40000028;
const X32 = 0x40000000;
const ENOSYS = 0x00050026;

/** What the kernel does with these instructions: what they return, or "filter" where they end at the one behind. */
function decide(program: Uint8Array, architecture: number, number: number): number | "filter" {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const count = program.length / INSTRUCTION;
  let accumulator = 0;
  for (let at = 0; at < count; at++) {
    const operand = view.getUint32(at * INSTRUCTION + 4, true);
    const jump = (taken: boolean) => view.getUint8(at * INSTRUCTION + (taken ? 2 : 3));
    switch (view.getUint16(at * INSTRUCTION, true)) {
      case 0x20:
        accumulator = operand === 0 ? number : architecture;
        break;
      case 0x15:
        at += jump(accumulator === operand);
        break;
      case 0x25:
        at += jump(accumulator > operand);
        break;
      case 0x45:
        at += jump((accumulator & operand) !== 0);
        break;
      case 0x06:
        return operand;
      default:
        throw new Error(`instruction ${at} is none that is expected`);
    }
    expect(at).toBeLessThan(count);
  }
  return "filter";
}

test("greater numbers than the profile's fail with ENOSYS, in each architecture by its own", () => {
  const program = refuseNewer(
    new Map([
      ["x86_64", 300],
      ["x86", 400],
      ["x32", X32 + 500],
    ]),
  );
  for (const [architecture, number, wanted] of [
    [X86_64, 0, "filter"],
    [X86_64, 300, "filter"],
    [X86_64, 301, ENOSYS],
    [X86_64, 400, ENOSYS],
    [X86_64, X32, "filter"],
    [X86_64, X32 + 301, "filter"],
    [X86_64, X32 + 500, "filter"],
    [X86_64, X32 + 501, ENOSYS],
    [X86_64, 0xffffffff, ENOSYS],
    [X86, 400, "filter"],
    [X86, 401, ENOSYS],
    [ARM, 1000, "filter"],
  ] as const) {
    expect([number, decide(program, architecture, number)]).toEqual([number, wanted]);
  }
});

test("an architecture that the profile does not have is the filter's", () => {
  const native = refuseNewer(new Map([["x86_64", 300]]));
  expect(decide(native, X86_64, 301)).toBe(ENOSYS);
  expect(decide(native, X86_64, X32 + 301)).toBe("filter");
  expect(decide(native, X86, 301)).toBe("filter");
  const other = refuseNewer(new Map([["x32", X32 + 300]]));
  expect(decide(other, X86_64, 301)).toBe("filter");
  expect(decide(other, X86_64, X32 + 301)).toBe(ENOSYS);
});

test("no instruction for what the guest's processor cannot be", () => {
  expect(refuseNewer(new Map([["aarch64", 300]])).length).toBe(0);
  expect(refuseNewer(new Map()).length).toBe(0);
});
