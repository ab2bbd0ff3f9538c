import { expect, test } from "bun:test";
import { overlayDirectories } from "./overlay-mount.ts";

test("Docker's layers, the topmost first", () => {
  const options =
    "rw,lowerdir=/d/l/AAA:/d/l/BBB:l/CCC,upperdir=/d/1/diff,workdir=/d/1/work,nouserxattr,index=off";
  expect(overlayDirectories(options)).toEqual({
    lower: ["/d/l/AAA", "/d/l/BBB", "l/CCC"],
    upper: "/d/1/diff",
    prefix: "trusted.overlay.",
  });
});

test("options of newer kernels: each layer by itself, and none that is written to", () => {
  expect(overlayDirectories("ro,lowerdir+=/a:b,lowerdir+=/c,userxattr")).toEqual({
    lower: ["/a:b", "/c"],
    prefix: "user.overlay.",
  });
});

test("names with blanks, commas, equal signs, colons, backslashes and letters of any kind", () => {
  // As Linux 6.18 writes lowerdir='/w/a b:/w/a\:b:/w/c\,d:/w/e=f:/w/g\\h:/w/é,upperdir=/w/u\,p'.
  const options =
    "rw,lowerdir=/w/a\\040b:/w/a\\134:b:/w/c\\134\\054d:/w/e=f:/w/g\\134\\134h:/w/é,upperdir=/w/u\\134\\054p";
  expect(overlayDirectories(options)).toEqual({
    lower: ["/w/a b", "/w/a:b", "/w/c,d", "/w/e=f", "/w/g\\h", "/w/é"],
    upper: "/w/u,p",
    prefix: "trusted.overlay.",
  });
});

test("layers of data alone, and what is no overlay's, are nothing to make an image of", () => {
  expect(overlayDirectories("rw,lowerdir=/a::/data")).toBeUndefined();
  expect(overlayDirectories("rw,lowerdir+=/a,datadir+=/data")).toBeUndefined();
  expect(overlayDirectories("rw,size=1k")).toBeUndefined();
});
