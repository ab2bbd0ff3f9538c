import { chmodSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type DockerRow, failedStart } from "../harness/comparison.ts";
import { asUser, program, volume } from "./words.ts";

/** How the program is found, and what is said where it cannot be run. */
export const PROGRAMS: DockerRow[] = [
  ...(
    [
      ["nosuch"],
      ["/no/such"],
      ["./nosuch"],
      ["no/such"],
      ["/etc/passwd"],
      ["/etc"],
      ["/etc/passwd/x"],
      ["."],
      [""],
      ["/dev/null"],
    ] as const
  ).map((command) => ({ name: `the program "${command[0]}"`, command, compare: failedStart })),
  {
    name: "a program in a place one may not enter",
    docker: asUser,
    command: ["/root/x"],
    compare: failedStart,
  },
  ...(
    [
      ["a file that is no program", "\0\0not a program\n", 0o755],
      ["a script without its first line", "echo ran\n", 0o755],
      ["an empty file", "", 0o755],
      ["a script", '#!/bin/sh\necho "$0" "$@"\n', 0o755],
      ["a script with an argument", '#!/bin/sh -e\necho "$0" "$@"\nfalse\necho after\n', 0o755],
      ["a script of a script", "#!/data/other -x\n", 0o755],
      ["a script whose interpreter is missing", "#!/no/such\n", 0o755],
      ["a script that not everybody may run", "#!/bin/sh\necho ran\n", 0o744],
      ["a script that nobody may run", "#!/bin/sh\necho ran\n", 0o644],
    ] as const
  ).flatMap(([name, text, mode]) =>
    [[], asUser].map((docker) => ({
      name: docker.length > 0 ? `${name}, as a user` : name,
      docker: [...volume, ...docker],
      prepare: (directory: string) => {
        chmodSync(directory, 0o755);
        program(join(directory, "program"), text, mode);
        program(join(directory, "other"), '#!/bin/sh\necho other "$@"\n');
      },
      command: ["/data/program", "an argument", ""],
      compare: failedStart,
    })),
  ),
  {
    name: "PATH is searched in its order, past what cannot be run",
    docker: [...volume, "-e", "PATH=/nowhere:/data/one:/data/two:/bin"],
    prepare: (directory) => {
      chmodSync(directory, 0o755);
      for (const name of ["one", "two"]) mkdirSync(join(directory, name));
      program(join(directory, "one/tool"), "#!/bin/sh\necho one\n", 0o644);
      program(join(directory, "two/tool"), "#!/bin/sh\necho two $0\n");
    },
    command: ["tool"],
  },
  {
    name: "PATH with nothing but what cannot be run",
    docker: [...volume, "-e", "PATH=/data"],
    prepare: (directory) => program(join(directory, "tool"), "#!/bin/sh\necho one\n", 0o644),
    command: ["tool"],
    compare: failedStart,
  },
  { name: "an empty PATH", docker: ["-e", "PATH="], command: ["ls"], compare: failedStart },
  {
    name: "an empty PATH in the program's directory",
    docker: ["-e", "PATH=", "-w", "/bin"],
    command: ["true"],
    compare: failedStart,
  },
  {
    name: "a relative PATH",
    docker: ["-e", "PATH=bin", "-w", "/usr"],
    command: ["echo", "x"],
    compare: failedStart,
  },
  {
    name: "a program by a relative path",
    docker: ["-w", "/usr"],
    command: ["bin/echo", "x"],
    compare: failedStart,
  },
  {
    name: "a program in the working directory",
    docker: ["-w", "/usr/bin"],
    command: ["./echo", "x"],
    compare: failedStart,
  },
  {
    name: "a program through symbolic links",
    docker: volume,
    prepare: (directory) => {
      symlinkSync("/data/second", join(directory, "first"));
      symlinkSync("../bin/echo", join(directory, "second"));
      symlinkSync("loop", join(directory, "loop"));
    },
    command: ["/data/first", "x"],
    compare: failedStart,
  },
  {
    name: "a program through a link in a circle",
    docker: volume,
    prepare: (directory) => symlinkSync("loop", join(directory, "loop")),
    command: ["/data/loop"],
    compare: failedStart,
  },
  {
    name: "arguments",
    command: [
      "sh",
      "-c",
      'printf "<%s>" "$@"; tr "\\0" "|" < /proc/$$/cmdline',
      "sh",
      "",
      " a  b ",
      "'\"`$X\\",
      "line\nline",
      "grüße 🚀",
      "--",
      "-x",
    ],
  },
  {
    name: "after a start that failed",
    command: ["nosuch"],
    steps: [["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "{id}"]],
    compare: failedStart,
  },
];
