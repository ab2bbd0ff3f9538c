import { afterAll, beforeAll, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { ContentStore } from "../image/layers/content.ts";
import { type Directory, plainDirectory } from "../image/layers/tree.ts";
import { plainMetadata } from "./entry.ts";
import { numericUser } from "./user.ts";

let store: ContentStore;
let root: Directory;
beforeAll(() => {
  store = new ContentStore(tmpdir());
  root = plainDirectory();
  const etc = plainDirectory();
  root.children.set("etc", etc);
  for (const [name, text] of [
    ["passwd", "root:x:0:0::/:/bin/sh\nredis:x:999:998:redis:/:\n"],
    ["group", "root:x:0:\nredis:x:998:\nusers:x:100:\n"],
  ] as const) {
    const content = { size: text.length, runs: [{ at: 0, position: store.position, length: text.length }] };
    store.append(Buffer.from(text));
    etc.children.set(name, { ...plainMetadata(0o644), kind: "file", content });
  }
});
afterAll(() => store.close());

test.each([
  ["redis", "999:998"],
  ["redis:users", "999:100"],
  ["redis:7", "999:7"],
  ["1000", "1000:0"],
  ["999", "999:998"],
  ["1000:users", "1000:100"],
  ["1000:1000", "1000:1000"],
  ["redis:", "999:998"],
])("%s is %s", (user, numbers) => {
  expect(numericUser(user, root, store)).toBe(numbers);
});

test("a name that is not there is refused", () => {
  expect(() => numericUser("nobody", root, store)).toThrow('the image\'s user "nobody": unable to find user');
  expect(() => numericUser("redis:staff", root, store)).toThrow('"redis:staff": unable to find group staff');
  expect(() => numericUser("redis", plainDirectory(), store)).toThrow("no matching entries in passwd file");
});
