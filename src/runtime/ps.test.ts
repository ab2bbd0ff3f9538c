import { expect, test } from "bun:test";
import { parseProcesses } from "../guest/processes.ts";
import { parsePsOptions, renderPs } from "./ps-table.ts";

/** Noon of a day, here. */
const NOW = new Date(2026, 4, 20, 12, 0, 0).getTime() / 1000;

const CLOCK = `clock 7200.00 100 ${NOW} 102400\n`;
/** Of a shell with a terminal, started an hour ago, and of its child, just now. */
const SHELL =
  "1\t0\t1\t1\t0\t0\t0\t0\t34816\t0\tS\t1\t20\t0\t360000\t150\t50\t2048\t1024\t0\t-\tsh\tsh\\x00-c\\x00a b\\x00\n";
const CHILD =
  "7\t1\t7\t1\t1000\t1001\t5\t6\t34816\t1\tZ\t3\t30\t10\t719900\t0\t0\t0\t0\t1\tdo_\\x1b[31mwait\tev\\x5c\\x0ail\t\n";

const show = (words: string[], text = CLOCK + SHELL + CHILD) =>
  renderPs(parsePsOptions(words), parseProcesses(text));

test("without options it is ps -ef", () => {
  const full = [
    "UID        PID  PPID  C STIME TTY          TIME CMD",
    "root         1     0  0 11:00 pts/0    00:00:02 sh -c a b",
    "1001         7     1  0 11:59 pts/0    00:00:00 [ev\\?il] <defunct>",
    "",
  ].join("\n");
  expect(show([])).toBe(full);
  for (const words of [["-ef"], ["-e", "-f"], ["-fe"], ["-A", "-f"]]) expect(show(words)).toBe(full);
});

test("aux is the user format", () => {
  const user = [
    "USER       PID %CPU %MEM    VSZ   RSS TTY      STAT START    TIME COMMAND",
    "root         1  0.1  1.0   2048  1024 pts/0    Ss   11:00    0:02 sh -c a b",
    "1001         7  0.0  0.0      0     0 pts/0    ZNl+ 11:59    0:00 [ev\\?il] <defunct>",
    "",
  ].join("\n");
  for (const words of [["aux"], ["-aux"], ["a", "u", "x"], ["axu"], ["auxww"]])
    expect(show(words)).toBe(user);
  expect(show(["ax"]).split("\n")[0]).toBe("  PID TTY      STAT   TIME COMMAND");
  expect(show(["-e"]).split("\n")[0]).toBe("  PID TTY          TIME CMD");
});

test("-o takes columns, in each of the ways of writing them", () => {
  const wanted = "  PID  PPID COMMAND\n    1     0 sh\n    7     1 ev\\?il <defunct>\n";
  for (const words of [
    ["-o", "pid,ppid,comm"],
    ["-eo", "pid ppid comm"],
    ["-opid", "-o", "ppid,comm"],
  ]) {
    expect(show(words)).toBe(wanted);
  }
  expect(show(["ax", "-o", "pid,ppid,ucmd=COMMAND"])).toBe(wanted);
  expect(show(["-o", "pid=,ppid="])).toBe("    1     0\n    7     1\n");
  expect(show(["-o", "pid", "--no-headers"])).toBe("    1\n    7\n");
  expect(
    show(["-o", "ruid,euid,gid,pgid,sid,nlwp,ni,pri,psr,wchan,state,etimes,etime", "--no-headers"]),
  ).toBe(
    [
      "    0     0     0     1     1    1   0  19   0 -            S    3600    01:00:00",
      " 1000  1001     6     7     1    3  10   9   1 do_?[31mwait Z       1       00:01",
      "",
    ].join("\n"),
  );
});

test("what is not of today has a date, what is not of this year has it", () => {
  const line = (days: number) =>
    `clock ${days * 86_400}.00 100 ${NOW} 102400\n${SHELL.replace("\t360000\t", "\t0\t")}`;
  expect(show(["-o", "stime=,bsdstart=,start=,etime="], line(10)).trimEnd()).toBe(
    "May10 May10    May 10 10-00:00:00",
  );
  expect(show(["-o", "stime="], line(400)).trim()).toBe("2025");
});

test("a column or an option that there is not is a sentence", () => {
  expect(() => parsePsOptions(["-o", "pid,nonsense"])).toThrow('no column "nonsense"');
  expect(() => parsePsOptions(["-o", "constructor"])).toThrow("no column");
  expect(() => parsePsOptions(["-o"])).toThrow("needs a list");
  for (const word of ["-l", "--forest", "f", "-", "1", "-u"]) {
    expect(() => parsePsOptions([word])).toThrow(`the option ${JSON.stringify(word)} is not known`);
  }
});

test("a list that is none of the agent's is refused", () => {
  for (const text of [
    "",
    "nonsense",
    "clock 1.00 0 1 1\n",
    "clock 0.00 100 1 0\n",
    CLOCK + SHELL.replace("\t360000\t", "\tx\t"),
    CLOCK + SHELL.replace("\tS\t", "\tSS\t"),
    CLOCK + SHELL.slice(0, -25),
    `${CLOCK}${SHELL.trimEnd()}\tmore\n`,
    `${CLOCK}${"9".repeat(40)}${SHELL}`,
  ]) {
    expect(() => parseProcesses(text)).toThrow("malformed");
  }
  expect(parseProcesses(CLOCK).processes).toEqual([]);
});

test("nothing of a process steers a terminal", () => {
  const hostile = SHELL.replace("a b", "a\\x07\u202eb\u0085c\\x1b]0;x");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(show([], CLOCK + hostile)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  expect(show([], CLOCK + hostile)).toContain("a??b?c?]0;x");
});
