import { expect, test } from "bun:test";
import {
  MS_BIND,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  MS_REC,
  parseMountOptions,
} from "./mount-options.ts";

const MS_PRIVATE_REC = 0x40000 | MS_REC;

test("flags become bits, the file system's own words stay data in their order", () => {
  expect(parseMountOptions(["nosuid", "mode=755", "noexec", "size=65536k", "nodev"])).toEqual({
    flags: MS_NOSUID | MS_NOEXEC | MS_NODEV,
    propagation: 0,
    data: "mode=755,size=65536k",
    copyUp: false,
    recursive: false,
  });
});

test("a later word undoes an earlier one", () => {
  expect(parseMountOptions(["ro", "nosuid", "rw"]).flags).toBe(MS_NOSUID);
  expect(parseMountOptions(["rw", "ro"]).flags).toBe(MS_RDONLY);
});

test("propagation is told apart from the flags, as it takes a call of its own", () => {
  expect(parseMountOptions(["rbind", "rprivate", "ro"])).toEqual({
    flags: MS_BIND | MS_REC | MS_RDONLY,
    propagation: MS_PRIVATE_REC,
    data: "",
    copyUp: false,
    recursive: false,
  });
});

test("tmpcopyup is no option that a kernel knows", () => {
  expect(parseMountOptions(["tmpcopyup"])).toEqual({
    flags: 0,
    propagation: 0,
    data: "",
    copyUp: true,
    recursive: false,
  });
});

test("a flag that is for the mounts below too is one for this mount", () => {
  expect(parseMountOptions(["rbind", "rro", "rnosuid", "rprivate"])).toEqual({
    flags: MS_BIND | MS_REC | MS_RDONLY | MS_NOSUID,
    propagation: MS_PRIVATE_REC,
    data: "",
    copyUp: false,
    recursive: true,
  });
  // Not a recursive "elatime".
  expect(parseMountOptions(["relatime", "rw"]).recursive).toBe(false);
  expect(parseMountOptions(["rro", "rrw"]).flags).toBe(0);
});

test("names of every object's own properties are no options", () => {
  expect(parseMountOptions(["constructor", "toString"]).data).toBe("constructor,toString");
});
