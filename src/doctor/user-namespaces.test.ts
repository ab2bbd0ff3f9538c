import { expect, test } from "bun:test";
import { judgeUserNamespaces } from "./user-namespaces.ts";

const OPEN = { most: "96365", unprivileged: undefined, restricted: undefined };

test("a kernel that lets every user make them", () => {
  expect(judgeUserNamespaces(OPEN, "user").state).toBe("ok");
  expect(judgeUserNamespaces({ ...OPEN, unprivileged: "1", restricted: "0" }, "user").state).toBe("ok");
});

test("each switch that forbids them is named with how to change it", () => {
  const forbidden = [
    [{ ...OPEN, most: undefined }, "CONFIG_USER_NS"],
    [{ ...OPEN, most: "0" }, "user.max_user_namespaces=10000"],
    [{ ...OPEN, unprivileged: "0" }, "kernel.unprivileged_userns_clone=1"],
    [{ ...OPEN, restricted: "1" }, "apparmor_restrict_unprivileged_userns=0"],
  ] as const;
  for (const [facts, remedy] of forbidden) {
    expect(judgeUserNamespaces(facts, "root")).toMatchObject({
      state: "less",
      remedy: expect.stringContaining(remedy),
    });
    expect(judgeUserNamespaces(facts, "user").state).toBe("not");
  }
});
