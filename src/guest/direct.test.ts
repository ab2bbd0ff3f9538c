import { expect, test } from "bun:test";
import { joinQuoted } from "../rootfs/application.ts";
import { type DirectContainer, directCommandLine, planDirect } from "./direct.ts";
import { asBytes, kernelWords } from "./kernel-words.ts";

const PROCESS = { user: { uid: 0, gid: 0 }, cwd: "/", env: ["PATH=/bin"] };

function container(args: string[], change: Partial<DirectContainer> = {}): DirectContainer {
  return {
    process: { ...PROCESS, args },
    hostname: "name",
    root: "9p",
    readOnly: false,
    ...change,
  };
}

const line = (args: string[], change?: Partial<DirectContainer>) =>
  planDirect(container(args, change)).words.join(" ");

test("the root is one of four", () => {
  const root = (kind: DirectContainer["root"]) => line(["/app"], { root: kind });
  expect(root("block")).toBe("root=/dev/vda rw PATH=/bin init=/app --");
  expect(root("initrd")).toBe("root=/dev/ram0 rw PATH=/bin rdinit=/app --");
  expect(root("9p")).toStartWith(
    "root=fs0 rw rootfstype=9p rootflags=trans=virtio,version=9p2000.L,msize=5000000,cache=mmap,posixacl ",
  );
  expect(root("virtiofs")).toStartWith("root=fs0 rw rootfstype=virtiofs ");
  expect(line(["/app"], { root: "block", readOnly: true })).toStartWith("root=/dev/vda ro ");
});

test("the network is one word, and a gateway elsewhere one more", () => {
  const address = { address: "172.17.0.2", prefixLength: 16, gateway: "172.17.0.1", device: "eth0" };
  expect(line(["/app"], { address })).toContain(" ip=172.17.0.2::172.17.0.1:255.255.0.0:name:eth0:off PATH=");
  const outside = { ...address, gateway: "169.254.1.1", prefixLength: 32 };
  expect(line(["/app"], { address: outside })).toContain(
    " ip=172.17.0.2::169.254.1.1:255.255.255.255:name:eth0:off URUNIT_DEFROUTE=1 ",
  );
  const alone = { ...address, gateway: undefined, prefixLength: 0 };
  expect(line(["/app"], { address: alone })).toContain(" ip=172.17.0.2:::0.0.0.0:name:eth0:off PATH=");
  expect(line(["/app"], { address, hostname: "a:b c" })).toContain(":urunc:eth0:off");
});

test("urunit has its configuration: a file of the initrd, or the initrd itself", () => {
  const initrd = planDirect(container(["/urunit", "/app"], { root: "initrd" }));
  expect(initrd.words.join(" ")).toBe("root=/dev/ram0 rw URUNIT_CONFIG=/urunit.conf rdinit=/urunit -- /app");
  const shared = planDirect(container(["/sbin/urunit-1", "/app"]));
  expect(shared.words.join(" ")).toEndWith(
    " retain_initrd URUNIT_CONFIG=/sys/firmware/initrd init=/sbin/urunit-1 -- /app",
  );
  expect(shared.configuration).toBe("UES\nPATH=/bin\nUEE\nUCS\nUID:0\nGID:0\nWD:/\nUCE\n");
});

test("the configuration has user, directory, limits and a volume", () => {
  const { configuration } = planDirect(
    container([], {
      process: {
        args: ["/urunit", "/app"],
        user: { uid: 1000, gid: 100 },
        cwd: "/srv/a b",
        env: ["A=1", "B=two words"],
        rlimits: [
          { type: "RLIMIT_NOFILE", soft: 1024, hard: 2 ** 64 },
          { type: "RLIMIT_CORE", soft: 0, hard: -1 },
        ],
      },
      volume: { serial: "volume", mountPoint: "/data" },
    }),
  );
  expect(configuration?.split("\n")).toEqual([
    ...["UES", "A=1", "B=two words", "UEE"],
    ...["UCS", "UID:1000", "GID:100", "WD:/srv/a b"],
    ...["RLIMIT:RLIMIT_NOFILE:1024:18446744073709551615", "RLIMIT:RLIMIT_CORE:0:18446744073709551615", "UCE"],
    ...["UBS", "ID:volume", "MP:/data", "UBE", ""],
  ]);
});

/** What would begin a section of its own. */
test("a variable or a directory with a line's end is refused", () => {
  const process = { ...PROCESS, args: ["/urunit", "/app"] };
  for (const change of [{ env: ["A=1\nUEE\nUCS\nUID:0"] }, { cwd: "/a\nUID:0" }]) {
    expect(() => planDirect(container([], { process: { ...process, ...change } }))).toThrow("several lines");
  }
});

/** As the init gets them. */
function arrived(args: string[]): string[] {
  const words = kernelWords(asBytes(line(args)));
  const rest = words.slice(words.indexOf("--") + 1);
  const joined = args[0] === "/urunit" ? joinQuoted(rest) : rest;
  return joined.map((word) => Buffer.from(word, "latin1").toString("utf8"));
}

test("arguments of several words are in single quotes for urunit", () => {
  expect(line(["/urunit", "/bin/sh", "-c", "echo a b"])).toEndWith(" -- /bin/sh -c 'echo a b'");
  expect(line(["/urunit", "nginx", "-g", "daemon off;", "-q"])).toEndWith(" -- nginx -g 'daemon off;' -q");
});

test("arguments arrive as they are, whatever is in them", () => {
  const hard = [
    ...["a b", "a  b", " a", "b ", "", "--", "it's", "sh -c 'a b'", "'a b' c", "tab\there", "two\nlines"],
    ...["voilà", "à la carte", "x=y", "x=a b", "'", "'a'x", "-", '{"a":1}', "$HOME;|&", "a=b=c d"],
  ];
  for (const one of hard) expect(arrived(["/urunit", "/app", one, "last"])).toEqual(["/app", one, "last"]);
  for (const one of hard.filter((word) => word !== "--")) expect(arrived(["/app", one])).toEqual([one]);
});

test("words that a tool has split stay as they are", () => {
  expect(line(["/urunit", "sh", "-c", "'echo", "a'"])).toEndWith(" -- sh -c 'echo a'");
});

test("what a command line cannot say is refused, with the way that has no such limit", () => {
  const refused = (args: string[], change?: Partial<DirectContainer>) => {
    try {
      directCommandLine(planDirect(container(args, change)).words);
    } catch (error) {
      expect((error as Error).message).toContain("leave com.urunc.unikernel.binary away");
      return (error as Error).message;
    }
    throw new Error(`${args} was taken`);
  };
  expect(refused(["/urunit", "sh", "-c", 'echo "a b"'])).toContain("cannot be on a kernel's command line");
  expect(refused(["/app", "--"])).toContain('the argument "--"');
  expect(refused(["redis-server"])).toContain("must be an absolute path");
  expect(refused(["/a b"])).toContain("must be an absolute path");
  expect(refused(["/urunit", ...Array.from({ length: 33 }, () => "x")])).toContain("33 words");
  // Each counts that the kernel makes of one in single quotes.
  expect(refused(["/urunit", "sh", "-c", Array.from({ length: 31 }, () => "x").join(" ")])).toContain(
    "33 words",
  );
  expect(line(["/urunit", ...Array.from({ length: 32 }, () => "x")])).toContain(" x x");
  expect(refused(["/urunit", "x".repeat(2000)])).toContain("keeps 2047 of them");
  const process = { ...PROCESS, args: ["/app"] };
  const bare = (change: object) => refused([], { process: { ...process, ...change } });
  expect(bare({ user: { uid: 1, gid: 0 } })).toContain("not as 1:0");
  expect(bare({ cwd: "/srv" })).toContain('in "/srv"');
  expect(bare({ env: Array.from({ length: 31 }, (_, n) => `V${n}=x`) })).toContain(
    "31 environment variables",
  );
  for (const variable of ['A=" "', "a.b=c", "root=/dev/sda", "init=/bin/sh", "A"]) {
    expect(bare({ env: [variable] })).toContain(`environment variable ${JSON.stringify(variable)}`);
  }
  const volume = { serial: "volume", mountPoint: "/data" };
  expect(refused(["/app"], { volume })).toContain("nobody mounts");
});

test("variables of an init that is not urunit are words", () => {
  const process = { ...PROCESS, args: ["/app"], env: ["A=1", "B=two words", "http_proxy=http://x"] };
  expect(line([], { process })).toContain(' A=1 B="two words" http_proxy=http://x init=/app --');
});
