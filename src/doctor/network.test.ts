import { expect, test } from "bun:test";
import { judgeNetwork } from "./network.ts";

const FACTS = {
  tun: "opens",
  programs: { ip: "/sbin/ip", tc: "/sbin/tc", nsenter: "/bin/nsenter", setpriv: "/bin/setpriv" },
};

test("all that is there", () => {
  expect(judgeNetwork(FACTS, "root").map(({ state }) => state)).toEqual(["ok", "ok", "ok", "ok", "ok"]);
});

test("what is missing is needed by root, and by nobody else", () => {
  const lacking = { tun: "ENOENT", programs: { ...FACTS.programs, tc: undefined } };
  const [tun, , tc] = judgeNetwork(lacking, "root");
  expect(tun).toMatchObject({
    state: "not",
    found: "it does not open (ENOENT)",
    remedy: expect.stringContaining("modprobe tun"),
  });
  expect(tc).toMatchObject({ state: "not", remedy: "apt-get install iproute2" });
  expect(judgeNetwork(lacking, "user").every(({ state }) => state === "ok")).toBe(true);
});
