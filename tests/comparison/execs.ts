import type { DockerRow, Step } from "../harness/comparison.ts";
import { bash, volume } from "./words.ts";

/** Runs until it is told to end. */
const WAITS = bash("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done");

/** One `docker exec` after another in a container that waits. */
const execs = (name: string, docker: readonly string[], steps: readonly Step[]): DockerRow => ({
  name: `exec: ${name}`,
  docker,
  command: WAITS,
  steps,
});

/** `docker exec FLAGS {id} sh -c SCRIPT` */
const run = (script: string, ...flags: string[]) => ["exec", ...flags, "{id}", "sh", "-c", script];

/** Processes that are added to a container. */
export const EXECS: DockerRow[] = [
  execs(
    "streams and exit status",
    [],
    [run("echo out; echo err >&2; exit 7"), run("exit 0"), run("exit 255")],
  ),
  execs("ends by signals", [], [run("kill -9 $$"), run("kill -TERM $$"), run("kill -SEGV $$")]),
  execs(
    "standard input",
    [],
    [
      { docker: ["exec", "-i", "{id}", "cat"], stdin: "one\ntwo" },
      { docker: ["exec", "-i", "{id}", "sha256sum"], stdin: "0123456789abcdef".repeat(100_000) },
      { docker: ["exec", "-i", "{id}", "head", "-c", "3"], stdin: "0123456789".repeat(50_000) },
      { docker: ["exec", "{id}", "cat"], stdin: "not read" },
    ],
  ),
  execs(
    "user and groups",
    ["--group-add", "7"],
    [
      run("id; echo $HOME; pwd; grep -E '^(Uid|Gid|Groups|Cap)' /proc/self/status"),
      run("id; echo $HOME; grep -E '^(Uid|Gid|Groups|Cap)' /proc/self/status", "-u", "1000"),
      run("id; echo $HOME", "-u", "user"),
      run("id; echo $HOME", "-u", "1234:5"),
      run("id", "-u", "nobody-here"),
    ],
  ),
  execs(
    "of a container with a user",
    ["-u", "1000:100"],
    [run("id; echo $HOME; touch /x"), run("id", "-u", "0")],
  ),
  execs(
    "environment",
    ["-e", "OWN=1", "-e", "BOTH=1", "--hostname", "box"],
    [run("env | sort", "-e", "BOTH=2", "-e", "NEW=a b", "-e", "LINES=x\ny")],
  ),
  execs(
    "working directory",
    ["-w", "/usr"],
    [run("pwd"), run("pwd", "-w", "/etc"), run("pwd", "-w", "/no/such"), run("pwd", "-w", "etc")],
  ),
  execs("programs that are not there, or are none", volume, [
    ["exec", "{id}", "nosuch"],
    ["exec", "{id}", "/no/such"],
    ["exec", "{id}", "/etc/passwd"],
    ["exec", "{id}", "/etc"],
    ["exec", "{id}", ""],
    run("printf '\\0\\0' > /data/none; printf '#!/no/such\\n' > /data/lost; chmod 755 /data/*"),
    ["exec", "{id}", "/data/none"],
    ["exec", "{id}", "/data/lost"],
  ]),
  execs(
    "the container's namespaces and its limits",
    ["--ulimit", "nofile=321:654", "--oom-score-adj", "77"],
    [
      run("echo $(ls /proc | grep -c '^1$'); cat /proc/1/comm; ulimit -n; cat /proc/self/oom_score_adj"),
      run(
        "for n in pid mnt ipc uts net; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] && echo $n; done",
      ),
      run(
        "grep -E '^(Seccomp|NoNewPrivs)' /proc/self/status; umask; ps -o pid= -p 1; cat /proc/self/cgroup | wc -c | grep -c .",
      ),
    ],
  ),
  execs(
    "--privileged and no-new-privileges",
    ["--security-opt", "no-new-privileges", "--cap-drop", "ALL"],
    [run("grep -E '^(Cap|NoNewPrivs)' /proc/self/status")],
  ),
  execs("files are shared with the container", volume, [
    run("echo from exec > /data/x; echo y > /tmp/y"),
    run("cat /data/x /tmp/y; ls -la /data/x | cut -c 1-10"),
  ]),
  execs(
    "what it leaves behind runs on",
    [],
    [
      run("sleep 1000 > /dev/null 2>&1 & echo left"),
      run("pgrep -x sleep -f 'sleep 1000' | wc -l; ps -o ppid= -C sleep | sort -u | wc -l"),
    ],
  ),
  execs("detached", volume, [
    ["exec", "-d", "{id}", "sh", "-c", "echo ran > /data/ran"],
    run("for i in $(seq 100); do [ -s /data/ran ] && break; sleep 0.1; done; cat /data/ran"),
  ]),
  execs(
    "a container that is paused",
    [],
    [["pause", "{id}"], run("echo x"), ["unpause", "{id}"], run("echo x")],
  ),
  execs("a container that has ended", [], [["stop", "{id}"], run("echo x")]),
];
