import { expect, test } from "bun:test";
import { UruncError } from "../errors.ts";
import type { Seccomp, SeccompRule } from "../oci/seccomp.ts";
import { filterRules } from "./rules.ts";

const getpid: SeccompRule = { names: ["getpid"], action: "SCMP_ACT_ALLOW" };

function profile(change: Partial<Seccomp> = {}): Seccomp {
  return { defaultAction: "SCMP_ACT_ERRNO", syscalls: [getpid], ...change };
}

function ruleOf(change: Partial<SeccompRule>) {
  return filterRules(profile({ syscalls: [{ ...getpid, ...change }] }))?.rules;
}

test("nothing asked for is no filter", () => {
  for (const none of [undefined, null, {}, { syscalls: [] }, { defaultAction: "" }]) {
    expect(filterRules(none)).toBeUndefined();
  }
  expect(filterRules({ defaultAction: "SCMP_ACT_ALLOW" })?.rules).toEqual([]);
});

test("actions are the kernel's numbers, with the error's in the lower half", () => {
  const action = (name: string, errnoRet?: number) =>
    ruleOf({ action: `SCMP_ACT_${name}`, ...(errnoRet === undefined ? {} : { errnoRet }) })?.[0]?.action;
  expect(action("KILL")).toBe(0);
  expect(action("KILL_THREAD", 5)).toBe(0);
  expect(action("KILL_PROCESS")).toBe(0x80000000);
  expect(action("TRAP", 5)).toBe(0x00030000);
  expect(action("ERRNO", 0)).toBe(0x00050000);
  expect(action("ERRNO", 38)).toBe(0x00050026);
  expect(action("TRACE")).toBe(0x7ff00001);
  expect(action("LOG")).toBe(0x7ffc0000);
  expect(action("ALLOW")).toBe(0x7fff0000);
  expect(filterRules(profile())?.defaultAction).toBe(0x00050001);
  expect(filterRules(profile({ defaultErrnoRet: 99 }))?.defaultAction).toBe(0x00050063);
});

test("a rule that says what holds without it is none, but its names are known", () => {
  const rules = filterRules(profile({ syscalls: [getpid, { names: ["mount"], action: "SCMP_ACT_ERRNO" }] }));
  expect(rules?.rules.map(({ name }) => name)).toEqual(["getpid"]);
  expect(rules?.known).toEqual(["getpid", "mount"]);
});

test("conditions on different arguments are one rule, several on one a rule each", () => {
  const argument = (index: number) => ({ index, value: 2, op: "SCMP_CMP_GE" });
  const condition = (number: number) => ({ argument: number, operator: 5, value: 2n, valueTwo: 0n });
  expect(ruleOf({ args: [argument(0), argument(5)] })?.map(({ conditions }) => conditions)).toEqual([
    [condition(0), condition(5)],
  ]);
  expect(
    ruleOf({ args: [argument(1), argument(0), argument(1)] })?.map(({ conditions }) => conditions),
  ).toEqual([[condition(1)], [condition(0)], [condition(1)]]);
  const masked = { index: 0, value: 2n ** 64n - 1n, valueTwo: 7, op: "SCMP_CMP_MASKED_EQ" };
  expect(ruleOf({ args: [masked] })?.[0]?.conditions).toEqual([
    { argument: 0, operator: 7, value: 2n ** 64n - 1n, valueTwo: 7n },
  ]);
});

test("newer system calls are refused where the default is no permission", () => {
  const refuses = (name: string) => filterRules(profile({ defaultAction: `SCMP_ACT_${name}` }))?.refusesNewer;
  for (const name of ["ERRNO", "KILL", "KILL_PROCESS", "TRAP"]) expect(refuses(name)).toBe(true);
  for (const name of ["ALLOW", "LOG", "TRACE"]) expect(refuses(name)).toBe(false);
});

test("architectures have libseccomp's names, each once; flags are seccomp(2)'s", () => {
  const architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_X86_64"];
  const flags = ["LOG", "SPEC_ALLOW", "TSYNC"].map((name) => `SECCOMP_FILTER_FLAG_${name}`);
  const rules = filterRules(profile({ architectures, flags }));
  expect(rules?.architectures).toEqual(["x86_64", "mips64n32"]);
  expect(rules?.flags).toBe(6);
  expect(filterRules(profile())?.flags).toBe(0);
});

test("each name that is none is refused, with it", () => {
  const args = [{ index: 0, value: 1, op: "toString" }];
  const cases: [bad: Seccomp, code: string, words: string][] = [
    [profile({ defaultAction: "ALLOW" }), "bundle-invalid", 'action "ALLOW"'],
    [{ syscalls: [getpid] }, "bundle-invalid", 'action ""'],
    [profile({ defaultAction: "constructor" }), "bundle-invalid", 'action "constructor"'],
    [profile({ syscalls: [{ ...getpid, args }] }), "bundle-invalid", 'operator "toString"'],
    [profile({ architectures: ["X86"] }), "bundle-invalid", 'architecture "X86"'],
    [profile({ flags: ["LOG"] }), "bundle-invalid", 'flag "LOG"'],
    [profile({ syscalls: [{ ...getpid, action: "SCMP_ACT_NOTIFY" }] }), "not-supported", "SCMP_ACT_NOTIFY"],
    [profile({ defaultAction: "SCMP_ACT_NOTIFY" }), "not-supported", "SCMP_ACT_NOTIFY"],
    [
      profile({ syscalls: [{ ...getpid, names: Array(4097).fill("x") }] }),
      "bundle-invalid",
      "4097 rules: at most",
    ],
  ];
  for (const [bad, code, words] of cases) {
    let thrown: unknown;
    try {
      filterRules(bad);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(UruncError);
    expect<string>((thrown as UruncError).code).toBe(code);
    expect((thrown as UruncError).message).toContain(words);
  }
});
