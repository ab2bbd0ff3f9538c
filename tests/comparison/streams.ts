import type { DockerRow } from "../harness/comparison.ts";
import { asUser, bash, bytes, sh, tries } from "./words.ts";

/** Standard streams and terminals. */
export const STREAMS: DockerRow[] = [
  { name: "two streams", command: sh("echo out; echo err >&2; echo more; echo worse >&2") },
  { name: "no newline at the end", command: sh("printf out; printf err >&2") },
  {
    name: "every byte",
    command: sh('i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %o $i)"; i=$((i+1)); done'),
  },
  {
    name: "8 MiB of output and an exit at once",
    command: sh("head -c 6291456 /dev/zero | tr '\\0' o; seq 300000 >&2; exit 3"),
  },
  {
    name: "without -i there is nothing to read",
    command: sh("cat; echo $?; readlink /proc/self/fd/0"),
    stdin: "unread\n",
  },
  { name: "standard input and its end", docker: ["-i"], command: ["cat"], stdin: "x\n" },
  { name: "standard input of nothing", docker: ["-i"], command: sh("cat | wc -c"), stdin: "" },
  {
    name: "every byte of standard input",
    docker: ["-i"],
    command: ["od", "-An", "-tx1"],
    stdin: bytes(0, 256),
  },
  {
    name: "8 MiB of standard input",
    docker: ["-i"],
    command: ["sha256sum"],
    stdin: "0123456789abcdef".repeat(524288),
  },
  {
    name: "8 MiB through and back",
    docker: ["-i"],
    command: ["cat"],
    stdin: "0123456789abcde\n".repeat(524288),
  },
  {
    name: "standard input that is not read",
    docker: ["-i"],
    command: ["head", "-c", "5"],
    stdin: "0123456789".repeat(200000),
  },
  { name: "a closed standard output", command: sh("exec >&-; echo x; echo err >&2; exit 4") },
  { name: "closed standard streams", command: sh("exec <&- >&- 2>&-; sleep 0.2; exit 5") },
  {
    name: "/dev/stdout and its kind",
    command: tries(
      "echo 1 > /dev/stdout",
      "echo 2 > /dev/stderr",
      "echo 3 > /dev/fd/1",
      "echo 4 >> /proc/self/fd/2",
      "echo 5 | cat /dev/stdin",
    ),
  },
  {
    name: "/dev/stdout and its kind, as a user",
    docker: asUser,
    command: tries(
      "echo 1 > /dev/stdout",
      "echo 2 > /dev/stderr",
      "echo 3 > /dev/fd/1",
      "echo 4 >> /proc/self/fd/2",
    ),
  },
  {
    name: "kind and owner of the streams",
    docker: ["-i"],
    command: sh("stat -L -c '%F %a %u:%g' /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"),
    stdin: "",
  },
  { name: "open files", command: sh("ls /proc/self/fd; ls /proc/1/fd") },
  {
    name: "what is written after the first process has ended",
    command: sh("(sleep 0.3; echo late) & echo first"),
  },
  { name: "a reader that ends", command: bash("yes | head -1; echo $PIPESTATUS") },
  {
    name: "a terminal",
    docker: ["-t"],
    command: sh("tty; test -t 0 && test -t 1 && test -t 2 && echo all; echo err >&2"),
  },
  { name: "a terminal's settings", docker: ["-t"], command: ["stty", "-a"] },
  {
    name: "a terminal's files",
    docker: ["-t"],
    command: sh(
      "stat -c '%n %F %a %u:%g' /dev/console /dev/pts /dev/pts/*; stat -c %t:%T /dev/console; readlink /proc/self/fd/0",
    ),
  },
  {
    name: "a terminal's files, of a user",
    docker: ["-t", ...asUser],
    command: sh(
      "stat -c '%n %F %a %u:%g' /dev/console /dev/pts/*; echo 1 > /dev/tty; echo 2 > /dev/console; echo 3 > /dev/stdout",
    ),
  },
  {
    name: "a terminal's size",
    docker: ["-it"],
    terminal: { rows: 33, columns: 101 },
    command: sh(
      'for i in $(seq 50); do [ "$(stty size)" = "33 101" ] && break; sleep 0.1; done; stty size; tput cols',
    ),
  },
  {
    name: "the terminal is the controlling one",
    docker: ["-it"],
    terminal: { rows: 24, columns: 80 },
    command: bash(
      "echo to the terminal > /dev/tty; ps -o tpgid= -p $$ | tr -d ' '; set -m; sleep 0.1 & jobs; wait; set -o | grep monitor",
    ),
  },
  {
    name: "Ctrl-C typed",
    docker: ["-it"],
    terminal: { rows: 24, columns: 80 },
    command: bash(
      "trap 'echo interrupted; exit 3' INT; printf '\\003' > /tmp/x; stty -echo; echo ready; read -t 5 line; kill -INT $$; sleep 1",
    ),
  },
];
