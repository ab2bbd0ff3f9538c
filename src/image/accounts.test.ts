import { expect, test } from "bun:test";
import { findUser } from "./accounts.ts";

const accounts = {
  passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:web:/:/bin/sh\n1000:x:7:8::/:/bin/sh\nbroken\n",
  group: "root:x:0:\nwww:x:44:\nadm:x:4:other,web\nusers:x:100:web\n",
};

test("users are found by name, then by number, with the groups that name them", () => {
  expect(findUser("", accounts)).toEqual({ uid: 0, gid: 0 });
  expect(findUser("web", accounts)).toEqual({ uid: 33, gid: 44, additionalGids: [4, 100] });
  expect(findUser("33", accounts)).toEqual({ uid: 33, gid: 44, additionalGids: [4, 100] });
  expect(findUser("1000", accounts)).toEqual({ uid: 7, gid: 8 });
  expect(findUser("4242", accounts)).toEqual({ uid: 4242, gid: 0 });
});

test("a group that was said is the only one", () => {
  expect(findUser("web:adm", accounts)).toEqual({ uid: 33, gid: 4 });
  expect(findUser("5:6", accounts)).toEqual({ uid: 5, gid: 6 });
  expect(findUser(":users", accounts)).toEqual({ uid: 0, gid: 100 });
});

test.each([
  ["nobody", "unable to find user nobody: no matching entries in passwd file"],
  ["web:nobody", "unable to find group nobody: no matching entries in group file"],
  ["99999999999", "unable to find user"],
  ["-1", "unable to find user"],
])("%s is refused", (text, sentence) => {
  expect(() => findUser(text, accounts)).toThrow(sentence);
});

test("an image without accounts has numbers alone", () => {
  expect(findUser("5", { passwd: "", group: "" })).toEqual({ uid: 5, gid: 0 });
  expect(() => findUser("root", { passwd: "", group: "" })).toThrow("unable to find user root");
});
