import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DockerRow } from "../harness/comparison.ts";
import { bash, probe, sh } from "./words.ts";

/** How a container ends, and what is done to one that runs. */
export const ENDINGS: DockerRow[] = [
  ...[0, 1, 2, 3, 125, 126, 127, 128, 129, 130, 137, 143, 254, 255].map((code) => ({
    name: `exit ${code}`,
    command: sh(`exit ${code}`),
  })),
  ...["segv", "ill", "fpe", "abort"].map((how) => ({
    name: `the first process ends by ${how}`,
    docker: [...probe, "--ulimit", "core=0"],
    command: ["/probe", "ends", how],
  })),
  ...["9", "15", "19", "34"].map((signal) => ({
    name: `signal ${signal} from the first process to itself`,
    docker: probe,
    command: ["/probe", "ends", signal],
  })),
  {
    name: "a child's end by each signal",
    command: bash(
      "for s in HUP INT QUIT KILL USR1 SEGV PIPE ALRM TERM RTMIN+3 RTMAX; do (kill -$s $BASHPID); echo $s $?; done 2>/dev/null",
    ),
  },
  ...["TERM", "9", "SEGV", "RTMIN+5", "64"].map((signal) => ({
    name: `under --init, a child that ends by ${signal}`,
    docker: ["--init"],
    command: bash(`kill -${signal} $$; sleep 5`),
  })),
  ...["USR1", "SIGHUP", "12", "SIGRTMIN+3", "RTMAX-1", "CONT", "WINCH"].map((signal) => ({
    name: `docker kill -s ${signal}`,
    command: bash(
      'for s in $(seq 1 16) $(seq 18 31) $(seq 34 64); do trap "echo signal $s; exit $s" $s; done 2>/dev/null; echo ready; while :; do sleep 0.05; done',
    ),
    steps: [
      ["kill", "-s", signal, "{id}"],
      ["wait", "{id}"],
      ["logs", "{id}"],
    ],
  })),
  {
    name: "docker stop and a program that listens",
    command: bash("trap 'echo stopping; exit 9' TERM; echo ready; while :; do sleep 0.05; done"),
    steps: [
      ["stop", "{id}"],
      ["logs", "{id}"],
      [
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}} {{.State.Pid}}",
        "{id}",
      ],
    ],
  },
  {
    name: "docker stop and a program that does not listen",
    command: bash("echo ready; sleep 1000"),
    steps: [
      ["stop", "--time", "1", "{id}"],
      [
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}",
        "{id}",
      ],
    ],
  },
  {
    name: "--stop-signal",
    docker: ["--stop-signal", "SIGQUIT"],
    command: bash("trap 'exit 4' TERM; trap 'exit 5' QUIT; echo ready; while :; do sleep 0.05; done"),
    steps: [
      ["stop", "{id}"],
      ["inspect", "-f", "{{.State.ExitCode}}", "{id}"],
    ],
  },
  {
    name: "docker kill",
    docker: ["--init"],
    command: bash("echo ready; sleep 1000"),
    steps: [
      ["kill", "{id}"],
      ["wait", "{id}"],
      ["kill", "{id}"],
    ],
  },
  {
    name: "pause and its errors",
    command: bash("echo ready; sleep 1000"),
    steps: [
      ["pause", "{id}"],
      ["pause", "{id}"],
      ["inspect", "-f", "{{.State.Status}}", "{id}"],
      ["unpause", "{id}"],
      ["unpause", "{id}"],
      ["inspect", "-f", "{{.State.Status}}", "{id}"],
    ],
  },
  {
    name: "a restart keeps the files",
    command: bash(
      "echo x >> /count; ls /tmp; touch /tmp/left; echo ready $(wc -l < /count); trap 'exit 0' TERM; while :; do sleep 0.05; done",
    ),
    steps: [["restart", "{id}"], { until: "ready 2" }, ["logs", "{id}"]],
  },
  {
    name: "files of a running container",
    command: sh("echo ready; while [ ! -e /tmp/in ]; do sleep 0.1; done; cat /tmp/in; exit 6"),
    prepare: (directory) => writeFileSync(join(directory, "in"), "copied in\n"),
    steps: [
      ["cp", "{id}:/etc/nsswitch.conf", "{dir}/out"],
      ["cp", "{dir}/in", "{id}:/tmp/in"],
      ["wait", "{id}"],
      ["logs", "{id}"],
    ],
  },
];
