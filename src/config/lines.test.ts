import { expect, test } from "bun:test";
import { linesOfKeys } from "./lines.ts";

test("each key has the line on which it begins", () => {
  const source = `# of the file
a = 1

[table]   # of the table
b.c = [
  1, # one
  2,
]
d = """
e = 5
"""
inline = { x = 1, y = 2 }
[empty]
f = 1
`;
  expect(Object.fromEntries(linesOfKeys(source))).toMatchObject({
    a: 2,
    "table.b.c": 5,
    "table.d": 9,
    "table.inline.x": 12,
    "table.inline.y": 12,
    empty: 13,
    "empty.f": 14,
  });
});

test("a file with carriage returns is one, too", () => {
  expect(linesOfKeys("a = 1\r\n\r\nb = 2\r\n").get("b")).toBe(3);
});
