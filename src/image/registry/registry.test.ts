import { describe, expect, test } from "bun:test";
import { parseChallenge } from "./challenge.ts";
import { endpointsOf, originOf, parseRegistryConfiguration } from "./configuration.ts";
import { DEFAULT_PATIENCE, isTransient, waitBefore } from "./retry.ts";

describe("challenges", () => {
  test("name a token server", () => {
    expect(
      parseChallenge(
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:c"',
      ),
    ).toEqual({
      kind: "bearer",
      realm: "https://auth.docker.io/token",
      service: "registry.docker.io",
      scope: "a:b:c",
    });
    expect(parseChallenge('bearer realm="x\\"y", error=invalid_token')).toEqual({
      kind: "bearer",
      realm: 'x"y',
    });
  });

  test("may be several, of which a token's is met", () => {
    expect(parseChallenge('Basic realm="a, b", Bearer realm="https://t"')).toEqual({
      kind: "bearer",
      realm: "https://t",
    });
    expect(parseChallenge('Negotiate, Basic realm="x"')).toEqual({ kind: "basic" });
  });

  test("that we cannot meet are none", () => {
    for (const header of [null, "", "Negotiate", "Bearer", '="', "x".repeat(9000)]) {
      expect(parseChallenge(header)).toBeUndefined();
    }
  });
});

describe("the configuration", () => {
  const parse = (text: string) => parseRegistryConfiguration(text, "/c.toml");
  const text = `[registries."a.example:5000"]
insecure = true
[registries."docker.io"]
mirrors = ["https://m.example", "a.example:5000", "127.0.0.1:5001"]
[registries."localhost:5000"]
insecure = false
`;

  test("says where registries are, mirrors first", () => {
    expect(endpointsOf("docker.io", parse(text)).map(({ url }) => url)).toEqual([
      "https://m.example",
      "http://a.example:5000",
      "http://127.0.0.1:5001",
      "https://registry-1.docker.io",
    ]);
    expect(originOf("docker.io", {}).host).toBe("docker.io");
    expect(originOf("localhost:5000", parse(text)).url).toBe("https://localhost:5000");
  });

  test("is not needed for loopback addresses to be reached by http", () => {
    for (const host of ["localhost", "localhost:5000", "127.0.0.1:80", "127.1.2.3", "[::1]:5000"]) {
      expect(originOf(host, {}).url).toBe(`http://${host}`);
    }
    for (const host of ["example", "127.0.0.1.example", "localhost.example:80", "[::2]"]) {
      expect(originOf(host, {}).url).toBe(`https://${host}`);
    }
  });

  test("is refused where something is wrong in it", () => {
    expect(() => parse("x")).toThrow("is not TOML (line 1)");
    expect(() => parse("[registry]")).toThrow("unknown key registry");
    expect(() => parse('[registries."a"]\ntls = true')).toThrow('unknown key registries."a".tls');
    expect(() => parse('[registries."a"]\ninsecure = "yes"')).toThrow("must be true or false");
    expect(() => parse('[registries."a"]\nmirrors = ["ftp://x"]')).toThrow("must be a list of hosts");
    expect(() => parse('registries = "a"')).toThrow("no tables");
  });
});

describe("attempts", () => {
  const wait = (attempt: number, header: string | null) =>
    waitBefore(DEFAULT_PATIENCE, attempt, header, 0, 1);

  test("are further and further apart, up to a bound", () => {
    expect([1, 2, 3, 9].map((attempt) => wait(attempt, null))).toEqual([500, 1000, 2000, 10_000]);
    expect(waitBefore(DEFAULT_PATIENCE, 1, null, 0, 0)).toBe(250);
  });

  test("come when the server says, unless that is too late", () => {
    expect(wait(1, "3")).toBe(3000);
    expect(wait(1, "Thu, 01 Jan 1970 00:00:10 GMT")).toBe(10_000);
    expect(wait(1, "61")).toBeUndefined();
    expect(wait(1, "soon")).toBe(500);
  });

  test("are for what may pass", () => {
    expect([429, 500, 503].every(isTransient)).toBe(true);
    expect([200, 401, 404, 501].some(isTransient)).toBe(false);
  });
});
