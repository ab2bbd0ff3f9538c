/**
 * The configuration that a command line of Cloud Hypervisor says, in the shape of its API's `VmConfig`, by its own rules: an
 * option takes the words up to the next one, and within a word stand names and values between commas.
 *
 * @param words behind the program
 * @throws Error: an option or a name that it does not know, or one that is there twice
 */
export function cloudHypervisorConfiguration(words: readonly string[]): Record<string, unknown> {
  const options = new Map<string, string[]>();
  for (const word of words) {
    if (!word.startsWith("--")) {
      const values = [...options.values()].at(-1);
      if (values === undefined) throw new Error(`${word} belongs to no option`);
      values.push(word);
    } else if (options.has(word)) throw new Error(`${word} is there twice`);
    else options.set(word, []);
  }
  const configuration: Record<string, unknown> = {};
  const payload: Record<string, string> = {};
  for (const [option, values] of options) {
    const known = OPTIONS[option];
    if (known === undefined) throw new Error(`${option} is unknown`);
    if (!known.many && values.length !== 1) throw new Error(`${option} takes one word`);
    const all = values.map((value) => known.parse(value));
    if (known.into === "payload") payload[option.slice(2)] = values[0] as string;
    else if (known.into !== undefined) configuration[known.into] = known.many ? all : all[0];
  }
  return { payload, ...configuration };
}

interface Option {
  /** The member of the configuration; undefined: it is none. */
  readonly into?: string;
  readonly many?: true;
  parse(value: string): unknown;
}

const asIs = (value: string) => value;
const toggle = (value: string) => {
  if (value !== "on" && value !== "off") throw new Error(`${value} is neither on nor off`);
  return value === "on";
};
const wholeNumber = (value: string) => {
  if (!/^[0-9]+$/.test(value)) throw new Error(`${value} is no number`);
  return Number(value);
};
const size = (value: string) => {
  const [, number = "", unit = ""] = /^([0-9]+)([KMG]?)$/.exec(value) ?? [];
  if (number === "") throw new Error(`${value} is no size`);
  return Number(number) * 1024 ** " KMG".indexOf(unit || " ");
};

function named(names: Record<string, [member: string, parse: (value: string) => unknown]>) {
  return (text: string): Record<string, unknown> =>
    Object.fromEntries(
      text.split(",").map((part) => {
        const [name = "", value = ""] = part.split(/=(.*)/s);
        const known = names[name];
        if (known === undefined) throw new Error(`${name} is unknown in ${text}`);
        return [known[0], known[1](value)];
      }),
    );
}

const mode = (value: string) => {
  if (!["off", "null", "pty", "tty"].includes(value)) throw new Error(`${value} is no place for a console`);
  return { mode: `${value[0]?.toUpperCase()}${value.slice(1)}` };
};

const OPTIONS: Record<string, Option> = {
  "--kernel": { into: "payload", parse: asIs },
  "--initramfs": { into: "payload", parse: asIs },
  "--cmdline": { into: "payload", parse: asIs },
  "--cpus": {
    into: "cpus",
    parse: named({ boot: ["boot_vcpus", wholeNumber], max: ["max_vcpus", wholeNumber] }),
  },
  "--memory": { into: "memory", parse: named({ size: ["size", size], shared: ["shared", toggle] }) },
  "--balloon": {
    into: "balloon",
    parse: named({
      size: ["size", size],
      deflate_on_oom: ["deflate_on_oom", toggle],
      free_page_reporting: ["free_page_reporting", toggle],
    }),
  },
  "--disk": {
    into: "disks",
    many: true,
    parse: named({
      path: ["path", asIs],
      readonly: ["readonly", toggle],
      serial: ["serial", asIs],
      image_type: ["image_type", asIs],
    }),
  },
  "--net": { into: "net", many: true, parse: named({ tap: ["tap", asIs], mac: ["mac", asIs] }) },
  "--fs": { into: "fs", many: true, parse: named({ tag: ["tag", asIs], socket: ["socket", asIs] }) },
  "--vsock": { into: "vsock", parse: named({ cid: ["cid", wholeNumber], socket: ["socket", asIs] }) },
  "--serial": { into: "serial", parse: mode },
  "--console": { into: "console", parse: mode },
  "--seccomp": {
    parse: (value) => {
      if (value !== "true") throw new Error(`${value}: the filter is to be on`);
    },
  },
};
