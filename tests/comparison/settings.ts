import { type DockerRow, failedStart } from "../harness/comparison.ts";
import { asUser, bash, probe, processIds, sh, statusLines, tries } from "./words.ts";

/** What the process is: user, groups, capabilities, limits, environment, directory. */
export const SETTINGS: DockerRow[] = [
  { name: "who root is", command: sh("id; id -un; whoami; groups") },
  { name: "-u with a number", docker: ["-u", "1000"], command: sh("id; echo $HOME; pwd") },
  { name: "-u with a name", docker: ["-u", "user"], command: sh("id; echo $HOME; pwd") },
  { name: "-u with numbers that nobody has", docker: ["-u", "1234:5678"], command: sh("id; echo $HOME") },
  { name: "-u with a name and a group", docker: ["-u", "user:disk"], command: ["id"] },
  {
    name: "--group-add",
    docker: ["-u", "1000:1000", "--group-add", "7", "--group-add", "disk"],
    command: statusLines("Uid", "Gid", "Groups"),
  },
  {
    name: "-u with a name that nobody has",
    docker: ["-u", "nobody-here"],
    command: ["id"],
    compare: failedStart,
  },
  {
    name: "the greatest ids",
    docker: ["-u", "2147483647:2147483647"],
    command: statusLines("Uid", "Gid", "Groups"),
  },
  ...(
    [
      ["as they are", []],
      ["--cap-drop ALL", ["--cap-drop", "ALL"]],
      ["--cap-add", ["--cap-add", "NET_ADMIN", "--cap-add", "SYS_TIME"]],
      ["--cap-drop", ["--cap-drop", "CHOWN", "--cap-drop", "MKNOD"]],
      ["of a user", asUser],
      ["--cap-add of a user", [...asUser, "--cap-add", "NET_ADMIN"]],
    ] as const
  ).map(([name, docker]) => ({
    name: `capabilities ${name}`,
    docker,
    command: sh("grep ^Cap /proc/self/status"),
  })),
  {
    name: "what dropped capabilities forbid",
    docker: ["--cap-drop", "ALL"],
    command: tries(
      "chown 5 /tmp",
      "touch /home/user/x",
      "mknod /tmp/n c 1 3",
      "kill -0 1",
      "hostname x",
      "su user",
    ),
  },
  {
    name: "what the usual capabilities allow and forbid",
    command: tries(
      "chown 5 /var/tmp",
      "touch /home/user/x",
      "chroot / true",
      "mknod /tmp/n c 1 3",
      "hostname x",
      "date -s 2030-01-01",
      "ip link set lo down",
      "mount -t tmpfs none /mnt",
      "mount -t tmpfs none /tmp",
      "nice -n -5 true",
      "chmod 4755 /tmp/n",
    ),
    compare: (text) => text.replace(/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) .*$/gm, "DATE"),
  },
  {
    name: "a name space of one's own is refused",
    command: tries("unshare -m true", "unshare -U true", "unshare -n true"),
  },
  { name: "seccomp's filter", command: statusLines("Seccomp", "Seccomp_filters") },
  {
    name: "seccomp=unconfined",
    docker: ["--security-opt", "seccomp=unconfined"],
    command: statusLines("Seccomp"),
  },
  {
    name: "no-new-privileges",
    docker: ["--security-opt", "no-new-privileges"],
    command: statusLines("NoNewPrivs"),
  },
  { name: "without no-new-privileges", command: statusLines("NoNewPrivs") },
  {
    name: "a program with the set-user-id bit",
    command: sh("cp /usr/bin/id /tmp/sid; chmod 6755 /tmp/sid; setpriv --reuid 1000 --clear-groups /tmp/sid"),
  },
  {
    name: "the set-user-id bit under no-new-privileges",
    docker: ["--security-opt", "no-new-privileges"],
    command: sh("cp /usr/bin/id /tmp/sid; chmod 6755 /tmp/sid; setpriv --reuid 1000 --clear-groups /tmp/sid"),
  },
  {
    name: "capabilities of a file",
    command: sh(
      "cp /bin/cat /tmp/c; setcap cap_net_raw+ep /tmp/c && getcap /tmp/c; setpriv --reuid 1000 --clear-groups --inh-caps=-all /tmp/c /proc/self/status | grep ^Cap",
    ),
  },
  {
    name: "every --ulimit",
    docker: [
      ...["core=1:2", "cpu=100:200", "data=1000000000:2000000000", "fsize=1000000:2000000", "locks=3:4"],
      ...["memlock=65536:131072", "msgqueue=1000:2000", "nofile=321:654", "nproc=500:600"],
      ...["rss=100000000:200000000", "rttime=1000000:2000000", "sigpending=50:60"],
      "stack=4000000:8000000",
    ].flatMap((limit) => ["--ulimit", limit]),
    command: ["cat", "/proc/self/limits"],
  },
  {
    name: "limits that nobody asked for",
    // Those of the other lines depend on the machine's memory.
    command: sh("grep -vE '^Max (processes|pending signals)' /proc/self/limits"),
  },
  { name: "oom_score_adj", command: ["cat", "/proc/self/oom_score_adj"] },
  {
    name: "--oom-score-adj",
    docker: ["--oom-score-adj", "321"],
    command: ["cat", "/proc/self/oom_score_adj"],
  },
  {
    name: "the environment, the last of a name counts",
    docker: ["--hostname", "box", "-e", "B=2", "-e", "A=1", "-e", "B=3", "-e", "EMPTY=", "-e", "E=a=b=c"],
    command: sh("env | sort"),
  },
  {
    name: "an environment with newlines and letters",
    docker: [
      "--hostname",
      "box",
      "-e",
      "LINES=one\ntwo\n\n",
      "-e",
      "WORD=grüße 世界 \\ \"'$X",
      "-e",
      "TAB=\t",
    ],
    command: sh("env --null | sort --zero-terminated"),
  },
  {
    name: "a name that no shell knows",
    docker: ["-e", "a.b-c=1", "-e", "1=2"],
    command: sh("env | grep '=[12]$'"),
  },
  { name: "-e HOME", docker: ["-e", "HOME=/elsewhere"], command: sh("echo $HOME; cd; pwd") },
  { name: "-e HOME=", docker: ["-e", "HOME="], command: sh('env | grep ^HOME; echo "<$HOME>"') },
  { name: "-t sets TERM", docker: ["-t", "--hostname", "box"], command: ["env"] },
  {
    name: "a working directory that is made",
    docker: ["-w", "/made/for this/run"],
    command: sh("pwd; stat -c '%n %A %u:%g' /made '/made/for this' '/made/for this/run'"),
  },
  {
    name: "a working directory that is made for a user",
    docker: [...asUser, "-w", "/made/for"],
    command: sh("pwd; stat -c '%n %A %u:%g' /made /made/for; touch x"),
  },
  {
    name: "a working directory one may not enter",
    docker: [...asUser, "-w", "/root"],
    command: ["pwd"],
    compare: failedStart,
  },
  {
    name: "a working directory that is a file",
    docker: ["-w", "/etc/passwd"],
    command: ["pwd"],
    compare: failedStart,
  },
  {
    name: "a working directory through a symbolic link",
    docker: ["-w", "/bin"],
    command: sh("pwd; pwd -P; readlink /proc/self/cwd"),
  },
  { name: "a relative working directory", docker: ["-w", "tmp"], command: ["pwd"], compare: failedStart },
  {
    name: "umask",
    command: sh(
      "umask; touch /tmp/f; mkdir /tmp/d; stat -c '%a' /tmp/f /tmp/d; grep Umask /proc/self/status",
    ),
  },
  {
    name: "signals blocked and ignored",
    command: statusLines("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"),
  },
  { name: "the process as the kernel sees it", docker: probe, command: ["/probe", "process"] },
  {
    name: "the process with a terminal as the kernel sees it",
    docker: [...probe, "-t"],
    command: ["/probe", "process"],
  },
  {
    name: "the process table",
    command: bash("sleep 100 & sleep 0.1; ps -eo pid,ppid,pgid,sid,tty,user,ni,stat,args"),
    compare: processIds,
  },
  {
    name: "the process table with a terminal",
    docker: ["-t"],
    command: bash("sleep 100 & sleep 0.1; ps -eo pid,ppid,pgid,sid,tty,user,ni,stat,args"),
    compare: processIds,
  },
  { name: "--init", docker: ["--init"], command: sh("ps -eo pid,ppid,args; exit 5"), compare: processIds },
  {
    name: "what init is called",
    command: sh("readlink /proc/1/exe; tr '\\0' ' ' < /proc/1/cmdline; cat /proc/1/comm"),
  },
  {
    name: "the environment of the first process",
    docker: ["--hostname", "box"],
    command: sh("tr '\\0' '\\n' < /proc/1/environ"),
  },
  {
    name: "the root of the first process",
    command: sh("readlink /proc/1/root /proc/1/cwd; ls -di /proc; ls /proc/1/ns"),
  },
  { name: "scheduling", command: sh("chrt -p $$; ionice -p $$; nice") },
  {
    name: "orphans are the first process's to reap",
    command: bash(
      "(sleep 3 & echo gone); sleep 0.1; ps -o ppid,comm -C sleep | tail -1; sleep 4; ps -eo stat,comm | grep Z",
    ),
  },
];
