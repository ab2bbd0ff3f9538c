import { expect, test } from "bun:test";
import { frontendOptions } from "./options.ts";

test("what a build was asked for is read from the environment, whatever the numbers of its options", () => {
  const options = frontendOptions({
    PATH: "/bin",
    BUILDKIT_SESSION_ID: "s1",
    BUILDKIT_FRONTEND_OPT_0: "source=registry.test/bunny:1",
    BUILDKIT_FRONTEND_OPT_7: "filename=my/bunnyfile",
    BUILDKIT_FRONTEND_OPT_12: "build-arg:A=b=c",
    BUILDKIT_FRONTEND_OPT_3: "build-arg:SOURCE_DATE_EPOCH=9",
    BUILDKIT_FRONTEND_OPT_4: "label:x=y",
    BUILDKIT_FRONTEND_OPT_5: "no-cache=",
    BUILDKIT_FRONTEND_OPT_6: "platform=linux/amd64,linux/arm64",
    BUILDKIT_FRONTEND_OPT_8: "image-resolve-mode=pull",
  });
  expect(options).toMatchObject({
    image: "registry.test/bunny:1",
    session: "s1",
    filename: "my/bunnyfile",
    contextSource: "context",
    fileSource: "dockerfile",
    platforms: [
      { os: "linux", architecture: "amd64" },
      { os: "linux", architecture: "arm64" },
    ],
    labels: { x: "y" },
    ignoreCache: true,
    resolveMode: "pull",
    time: 9,
  });
  expect(options.buildArgs.get("A")).toBe("b=c");
});

test("what nobody asked for is left to the build file", () => {
  expect(frontendOptions({ BUILDKIT_FRONTEND_OPT_0: "source=bunny" })).toMatchObject({
    session: undefined,
    filename: undefined,
    platforms: [],
    target: undefined,
    ignoreCache: false,
    resolveMode: "default",
    time: undefined,
  });
});

test("who calls it by hand is told how it is meant", () => {
  expect(() => frontendOptions({ PATH: "/bin" })).toThrow("#syntax=IMAGE");
});
