import { expect, test } from "bun:test";
import { parse } from "smol-toml";
import { showConfig } from "./show.ts";

const shown = showConfig("/c\n.toml", [
  { key: "log.syslog", value: false, origin: "default" },
  { key: "runtime.engine", value: 'a"b\\\n', origin: "/c.toml:3" },
  { key: "runtime.share", value: undefined, origin: "not found" },
  { key: "monitors.qemu.default_vcpus", value: 2, origin: "an annotation" },
]);

test("the configuration is shown as TOML that says the same", () => {
  expect(parse(shown)).toEqual({
    log: { syslog: false },
    runtime: { engine: 'a"b\\\n' },
    monitors: { qemu: { default_vcpus: 2 } },
  });
});

test("each value has its origin beside it, and a line break in one is none in the text", () => {
  expect(shown).toStartWith("# /c .toml\n\n[log]\n");
  expect(shown).toMatch(/^engine = .* # \/c\.toml:3$/m);
  expect(shown).toMatch(/^# share +# not found$/m);
  expect(shown).toMatch(/^default_vcpus = 2 +# an annotation$/m);
});
