import { InstructionError } from "./wrong.ts";

const PROTOCOLS = ["tcp", "udp", "sctp"];
const LAST_PORT = 65_535;

/**
 * The ports of a word of EXPOSE, `[[address:]host-port:]port[-port][/protocol]`, as an image names them: `80/tcp`. The
 * host's part is for `docker run` and means nothing here.
 *
 * @throws InstructionError with a sentence
 */
export function exposedPorts(word: string): string[] {
  const wrong = (why: string) => new InstructionError(`invalid port: ${JSON.stringify(word)}: ${why}`);
  const container = word.slice(word.lastIndexOf(":") + 1);
  const [range = "", named = "", ...others] = container.split("/");
  const protocol = named === "" ? "tcp" : named.toLowerCase();
  if (range === "") throw wrong("no port specified");
  if (!PROTOCOLS.includes(protocol) || others.length > 0) {
    throw wrong(`invalid proto: ${[named, ...others].join("/")}`);
  }
  const [, first = "", last = first] = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(range) ?? [];
  const [start, end] = [Number(first), Number(last)];
  if (first === "" || end < start || end > LAST_PORT) throw wrong(`invalid containerPort: ${range}`);
  return Array.from({ length: end - start + 1 }, (_, index) => `${start + index}/${protocol}`);
}
