import { InstructionError } from "./wrong.ts";

const PROTOCOLS = ["tcp", "udp", "sctp"];
const LAST_PORT = 65_535;

/** What there can be of all protocols; words may be ranges, and name the same. */
const MOST_PORTS = (LAST_PORT + 1) * PROTOCOLS.length;

/**
 * The ports of EXPOSE as an image names them, `80/tcp`, from words `[[address:]host-port:]port[-port][/protocol]`. The
 * host's part is for `docker run` and means nothing here.
 *
 * @throws InstructionError
 */
export function exposedPorts(words: readonly string[]): string[] {
  const ports: string[] = [];
  for (const word of words) {
    ports.push(...portsOf(word));
    if (ports.length > MOST_PORTS) throw new InstructionError("it names more ports than there are");
  }
  return ports;
}

function portsOf(word: string): string[] {
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
