import { expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newSettings, previewRegistration, registerInFile, registerRuntime } from "./docker-daemon.ts";

const PROGRAM = "/usr/local/bin/urunc";

function registered(text: string): string {
  const result = registerRuntime(text, PROGRAM);
  if (result.kind !== "changed") throw new Error(`not changed: ${JSON.stringify(result)}`);
  return result.text;
}

test.each(["", " \n"])("where there are no settings (%j), they are the runtime alone", (text) => {
  expect(JSON.parse(registered(text))).toEqual({ runtimes: { urunc: { path: PROGRAM } } });
  expect(registered(text)).toBe(`${newSettings(PROGRAM)}\n`);
});

test("the first runtime stands behind the other settings, laid out as they are", () => {
  expect(registered('{\n    "debug": true,\n    "dns": ["1.1.1.1"]\n}\n')).toBe(
    '{\n    "debug": true,\n    "dns": ["1.1.1.1"],\n    "runtimes": {\n' +
      `        "urunc": {\n            "path": "${PROGRAM}"\n        }\n    }\n}\n`,
  );
});

test("a further runtime stands behind the others", () => {
  expect(registered('{\n\t"runtimes": {\n\t\t"kata": { "path": "/k" }\n\t},\n\t"debug": true\n}')).toBe(
    `{\n\t"runtimes": {\n\t\t"kata": { "path": "/k" },\n\t\t"urunc": {\n\t\t\t"path": "${PROGRAM}"\n\t\t}\n\t},\n` +
      '\t"debug": true\n}',
  );
});

test("every other byte stays: numbers, escapes, order, line ends", () => {
  const before =
    '{\r\n  "10": 1, "2": 1.0e3,\r\n  "big": 12345678901234567890,\r\n  "a\\u0041\\"}": "x\\\\",\r\n' +
    '  "runtimes": {}\r\n}\r\n';
  expect(registered(before)).toBe(
    before.replace("{}", `{\r\n    "urunc": {\r\n      "path": "${PROGRAM}"\r\n    }\r\n  }`),
  );
});

test.each([
  "{}",
  "{ }",
  '{"a":[{"b":"]}"},[]],"c":-1}',
  '{"runtimes":{}}',
  '{"runtimes":{"kata":{"path":"/k"}}}',
  '{"runtimes":{"urunc":{}}}',
  '{"runtimes":{"urunc":{"runtimeArgs":["--debug"]}},"x":null}',
  '{\n"a":\n{"runtimes":7}\n,"runtimes":{"other":{"path":"/o","runtimeArgs":[]}}\n}',
  // The first spelling of a name that is written with an escape.
  '{"run\\u0074imes":{"kata":{"path":"/k"}}}',
])("%j: nothing else changes", (text) => {
  const wanted = JSON.parse(text);
  wanted.runtimes ??= {};
  wanted.runtimes.urunc = { ...wanted.runtimes.urunc, path: PROGRAM };
  expect(JSON.parse(registered(text))).toEqual(wanted);
  // And then there is nothing left to do.
  expect(registerRuntime(registered(text), PROGRAM)).toEqual({ kind: "unchanged" });
});

test.each([
  ['{"a": }', "not valid JSON"],
  ['{"a": 1,}', "not valid JSON"],
  ['// comment\n{"a": 1}', "not valid JSON"],
  ['\ufeff{"a": 1}', "not valid JSON"],
  ["[]", "not a JSON object"],
  ["null", "not a JSON object"],
  ['{"runtimes": []}', '"runtimes" is not an object'],
  ['{"runtimes": null}', '"runtimes" is not an object'],
  ['{"runtimes": "{}"}', '"runtimes" is not an object'],
  ['{"runtimes": {}, "runtimes": {}}', '"runtimes" twice'],
  ['{"runtimes": {"urunc": {}, "urunc": {}}}', '"urunc" twice'],
  ['{"runtimes": {"urunc": "/usr/local/bin/urunc"}}', '"runtimes.urunc" is not an object'],
  ['{"runtimes": {"urunc": {"path": "/opt/urunc"}}}', 'is already {"path":"/opt/urunc"}'],
  ['{"runtimes": {"urunc": {"path": 7}}}', 'is already {"path":7}'],
  ['{"runtimes": {"urunc": {"runtimeType": "io.containerd.urunc.v2"}}}', "is already"],
])("%j is refused", (text, reason) => {
  const result = registerRuntime(text, PROGRAM);
  expect(result.kind).toBe("refused");
  expect(result.kind === "refused" && result.reason).toContain(reason);
});

function inDirectory(use: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "urunc-daemon-"));
  try {
    use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a file that is not there is made, with its directory", () => {
  inDirectory((directory) => {
    const file = join(directory, "docker/daemon.json");
    expect(registerInFile(file, PROGRAM).kind).toBe("changed");
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ runtimes: { urunc: { path: PROGRAM } } });
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(readdirSync(join(directory, "docker"))).toEqual(["daemon.json"]);
  });
});

test("mode and owner stay, and the backup is of before the first change", () => {
  inDirectory((directory) => {
    const file = join(directory, "daemon.json");
    writeFileSync(file, '{"debug": true}');
    chmodSync(file, 0o640);
    if (process.geteuid?.() === 0) chownSync(file, 12, 34);
    const { uid, gid, mode } = statSync(file);
    expect(registerInFile(file, PROGRAM).kind).toBe("changed");
    for (const name of ["daemon.json", "daemon.json.urunc-backup"]) {
      expect(statSync(join(directory, name))).toMatchObject({ uid, gid, mode });
    }
    writeFileSync(file, '{"debug": false}');
    expect(registerInFile(file, PROGRAM).kind).toBe("changed");
    expect(readFileSync(`${file}.urunc-backup`, "utf8")).toBe('{"debug": true}');
    expect(readdirSync(directory).sort()).toEqual(["daemon.json", "daemon.json.urunc-backup"]);
  });
});

test("a link stays one, and what it leads to is changed", () => {
  inDirectory((directory) => {
    const file = join(directory, "daemon.json");
    mkdirSync(join(directory, "real"));
    writeFileSync(join(directory, "real/settings"), "{}");
    symlinkSync("real/settings", file);
    expect(registerInFile(file, PROGRAM).kind).toBe("changed");
    expect(readlinkSync(file)).toBe("real/settings");
    expect(readFileSync(join(directory, "real/settings"), "utf8")).toContain(PROGRAM);
    expect(readdirSync(join(directory, "real"))).toEqual(["settings"]);
  });
});

test("what is refused, or only looked at, is not touched", () => {
  inDirectory((directory) => {
    const file = join(directory, "daemon.json");
    writeFileSync(file, "{}");
    expect(previewRegistration(file, PROGRAM).kind).toBe("changed");
    expect(readFileSync(file, "utf8")).toBe("{}");
    writeFileSync(file, Buffer.from('{"a": "\xff"}', "latin1"));
    expect(registerInFile(file, PROGRAM).kind).toBe("refused");
    expect(readFileSync(file, "latin1")).toBe('{"a": "\xff"}');
    rmSync(file);
    symlinkSync("nowhere", file);
    expect(registerInFile(file, PROGRAM).kind).toBe("refused");
    expect(existsSync(join(directory, "nowhere"))).toBe(false);
    expect(readdirSync(directory)).toEqual(["daemon.json"]);
  });
});
