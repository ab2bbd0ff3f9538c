import { expect, test } from "bun:test";
import { canRunMachines, type Group } from "./finding.ts";
import { asJson, asText } from "./report.ts";

const ok: Group = { name: "One", findings: [{ what: "a", state: "ok", found: "there" }] };
const less: Group = {
  name: "Two",
  findings: [{ what: "bb", state: "less", found: "not there", remedy: "get it" }],
};
const not: Group = { name: "Three", findings: [{ what: "c", state: "not", found: "not there" }] };

test("a line for each finding, and below it what to do", () => {
  expect(asText([ok, less])).toBe(
    "One\n  ok  a   there\nTwo\n  --  bb  not there\n          → get it\n\n" +
      "Containers can run as machines here, without what the lines with -- say.\n",
  );
  expect(asText([ok])).toEndWith("\n\nContainers can run as machines here.\n");
  expect(asText([less, not])).toContain("cannot run as machines here");
});

test("one thing that nothing runs without decides", () => {
  expect(canRunMachines([ok, less])).toBe(true);
  expect(canRunMachines([ok, not, less])).toBe(false);
  expect(JSON.parse(asJson([ok, not]))).toEqual({ machines: false, groups: [ok, not] });
});
