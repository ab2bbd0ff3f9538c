import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BundleRow, failedStart } from "../harness/comparison.ts";
import { processIds, program, sh } from "./words.ts";

/** Bundles, without Docker. */
export const BUNDLES: BundleRow[] = [
  { name: "bundle: streams and exit status", args: sh("echo out; echo err >&2; exit 42") },
  { name: "bundle: standard input", args: ["sha256sum"], stdin: "0123456789".repeat(50_000) },
  { name: "bundle: no standard input", args: sh("cat; echo $?") },
  {
    name: "bundle: a umask",
    args: sh("umask; touch /tmp/x; stat -c %a /tmp/x; mkdir /tmp/d"),
    files: ["tmp"],
    change: ({ process }) => {
      process.user.umask = 0o027;
    },
  },
  {
    name: "bundle: a umask of nothing",
    args: sh("umask; touch /tmp/x"),
    files: ["tmp"],
    change: ({ process }) => {
      process.user.umask = 0;
    },
  },
  {
    name: "bundle: user, group and groups",
    args: sh("id; grep -E '^(Uid|Gid|Groups|Cap)' /proc/self/status; echo $HOME"),
    change: ({ process }) => {
      process.user = { uid: 1000, gid: 100, additionalGids: [7, 5, 33, 7] };
    },
  },
  {
    name: "bundle: all capability sets",
    args: sh("grep ^Cap /proc/self/status"),
    change: ({ process }) => {
      const all = ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"];
      process.capabilities = {
        bounding: [...all, "CAP_MKNOD"],
        permitted: all,
        effective: ["CAP_KILL"],
        inheritable: ["CAP_KILL", "CAP_CHOWN"],
        ambient: ["CAP_KILL"],
      };
    },
  },
  {
    name: "bundle: all capability sets of a user",
    args: sh("grep ^Cap /proc/self/status"),
    change: ({ process }) => {
      const all = ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"];
      process.user = { uid: 1000, gid: 1000 };
      process.capabilities = {
        bounding: all,
        permitted: all,
        effective: all,
        inheritable: ["CAP_KILL", "CAP_CHOWN"],
        ambient: ["CAP_KILL"],
      };
    },
  },
  {
    name: "bundle: no capabilities",
    args: sh("grep ^Cap /proc/self/status; chown 5 /tmp; echo $?"),
    change: ({ process }) => {
      process.capabilities = {};
    },
  },
  {
    name: "bundle: a capability that nobody knows",
    args: sh("grep ^Cap /proc/self/status"),
    change: ({ process }) => {
      process.capabilities = {
        bounding: ["CAP_FROBNICATE", "CAP_KILL"],
        permitted: ["CAP_KILL"],
        effective: ["CAP_KILL"],
      };
    },
    compare: (text) => text.replace(/^time="[^"]*" /gm, ""),
  },
  {
    name: "bundle: no_new_privs off",
    args: sh("grep NoNew /proc/self/status"),
    change: ({ process }) => {
      process.noNewPrivileges = false;
    },
  },
  {
    name: "bundle: limits",
    args: ["cat", "/proc/self/limits"],
    change: ({ process }) => {
      process.rlimits = [
        "AS",
        "CORE",
        "CPU",
        "DATA",
        "FSIZE",
        "LOCKS",
        "MEMLOCK",
        "MSGQUEUE",
        "NICE",
        "NOFILE",
        "NPROC",
        "RSS",
        "RTPRIO",
        "RTTIME",
        "SIGPENDING",
        "STACK",
      ].map((name, index) => ({ type: `RLIMIT_${name}`, soft: 1000 + index, hard: 2000 + index }));
      for (const limit of process.rlimits) {
        if (/AS|DATA|STACK|FSIZE/.test(limit.type)) limit.soft = limit.hard = 2 ** 40;
        // To raise these takes a capability that runc has not everywhere.
        if (/NICE|RTPRIO/.test(limit.type)) limit.soft = limit.hard = 0;
      }
    },
  },
  {
    name: "bundle: a limit that nobody knows",
    args: ["true"],
    change: ({ process }) => {
      process.rlimits = [{ type: "RLIMIT_FROBNICATE", soft: 1, hard: 1 }];
    },
    compare: failedStart,
  },
  {
    name: "bundle: oomScoreAdj",
    args: ["cat", "/proc/self/oom_score_adj"],
    change: ({ process }) => {
      Object.assign(process, { oomScoreAdj: 123 });
    },
  },
  {
    name: "bundle: oomScoreAdj below nothing",
    args: ["cat", "/proc/self/oom_score_adj"],
    change: ({ process }) => {
      Object.assign(process, { oomScoreAdj: -500 });
    },
  },
  {
    name: "bundle: the environment",
    args: ["env"],
    change: ({ process }) => {
      process.env = ["B=1", "PATH=/bin", "A=two\nlines", "EMPTY=", "B=2", "X=a=b"];
    },
  },
  {
    name: "bundle: an environment without a PATH",
    args: ["/bin/env"],
    change: ({ process }) => {
      process.env = ["A=1"];
    },
  },
  {
    name: "bundle: no environment",
    args: ["/bin/env"],
    change: ({ process }) => {
      process.env = [];
    },
  },
  {
    name: "bundle: a program by its name without a PATH",
    args: ["env"],
    change: ({ process }) => {
      process.env = ["A=1"];
    },
    compare: failedStart,
  },
  {
    name: "bundle: a variable that is none",
    args: ["/bin/env"],
    change: ({ process }) => {
      process.env = ["PATH=/bin", "NONE"];
    },
    compare: failedStart,
  },
  {
    name: "bundle: HOME of the user",
    args: sh("echo $HOME"),
    change: ({ process }) => {
      process.user = { uid: 1000, gid: 1000 };
    },
  },
  {
    name: "bundle: HOME of nobody",
    args: sh("echo $HOME"),
    change: ({ process }) => {
      process.user = { uid: 4321, gid: 1 };
    },
  },
  {
    name: "bundle: HOME without /etc/passwd",
    args: sh("echo $HOME"),
    prepare: (rootfs) => Bun.spawnSync(["rm", join(rootfs, "etc/passwd")]),
  },
  {
    name: "bundle: a working directory that is made",
    args: sh("pwd; touch here"),
    files: ["made"],
    change: ({ process }) => {
      process.cwd = "/made/for/this";
    },
  },
  {
    name: "bundle: a working directory one may not enter",
    args: ["pwd"],
    change: ({ process }) => {
      process.cwd = "/root";
      process.user = { uid: 1000, gid: 1000 };
    },
    compare: failedStart,
  },
  {
    name: "bundle: a relative working directory",
    args: ["pwd"],
    change: ({ process }) => {
      process.cwd = "tmp";
    },
    compare: failedStart,
  },
  { name: "bundle: no arguments", args: [], compare: failedStart },
  ...[["nosuch"], ["/no/such"], ["/etc/passwd"], ["/etc"], [""]].map((args) => ({
    name: `bundle: the program "${args[0]}"`,
    args,
    compare: failedStart,
  })),
  {
    name: "bundle: hostname",
    args: sh("hostname; uname -n; cat /proc/sys/kernel/domainname"),
    change: (config) => {
      config.hostname = "own-name";
    },
  },
  {
    name: "bundle: domainname",
    args: sh("cat /proc/sys/kernel/domainname"),
    change: (config) => {
      Object.assign(config, { domainname: "lan.test" });
    },
  },
  {
    name: "bundle: a root that cannot be written",
    args: sh("touch /x; touch /tmp/x; touch /dev/shm/x && echo shm"),
    change: (config) => {
      config.root.readonly = true;
    },
  },
  {
    name: "bundle: mounts in their order, the last one wins",
    args: sh("cat /mnt/in; ls /mnt; mount | grep -c ' /mnt '"),
    prepare: (rootfs) => {
      mkdirSync(join(rootfs, "mnt"));
    },
    change: (config, rootfs) => {
      for (const name of ["one", "two"]) {
        const source = join(rootfs, `../${name}`);
        mkdirSync(source);
        writeFileSync(join(source, "in"), name);
        config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["bind", "ro"] });
      }
    },
  },
  {
    name: "bundle: a relative mount source",
    args: sh("cat /mnt/in"),
    change: (config, rootfs) => {
      mkdirSync(join(rootfs, "../beside"));
      writeFileSync(join(rootfs, "../beside/in"), "beside\n");
      config.mounts.push({ destination: "/mnt", type: "bind", source: "beside", options: ["rbind"] });
    },
    files: ["mnt"],
  },
  {
    name: "bundle: mount options",
    args: sh("grep ' /t[0-9] ' /proc/self/mounts"),
    change: (config) => {
      const sets = [
        ["nosuid", "noexec"],
        ["ro", "nodev"],
        ["noatime"],
        ["strictatime", "mode=711"],
        ["size=8k", "nosuid", "suid"],
        ["nodiratime", "relatime"],
        ["sync", "dirsync"],
      ];
      for (const [index, options] of sets.entries())
        config.mounts.push({ destination: `/t${index}`, type: "tmpfs", source: "tmpfs", options });
    },
  },
  {
    name: "bundle: a bind mount's options",
    args: sh(
      "cat /file; echo x > /file; /program; touch /d/x; awk '$2 ~ /^.(file|program|d)$/ { print $2, $4 }' /proc/self/mounts | cut -d, -f1-3",
    ),
    change: (config, rootfs) => {
      const at = (name: string) => join(rootfs, "..", name);
      program(at("file"), "text\n");
      program(at("program"), "#!/bin/sh\necho ran\n");
      mkdirSync(at("d"));
      for (const [name, options] of [
        ["file", ["bind", "ro"]],
        ["program", ["bind", "noexec"]],
        ["d", ["rbind", "nosuid", "nodev", "ro"]],
      ] as const)
        config.mounts.push({
          destination: `/${name}`,
          type: "bind",
          source: at(name),
          options: [...options],
        });
    },
    compare: (text) => text.replace(/,relatime.*$/gm, ""),
  },
  {
    name: "bundle: a bind mount that is read-only with all that is mounted below it",
    args: sh("cat /mnt/in; touch /mnt/x; echo x > /mnt/in; grep -o ' /mnt r[ow]' /proc/self/mountinfo"),
    change: (config, rootfs) => {
      const source = join(rootfs, "../d");
      mkdirSync(source);
      writeFileSync(join(source, "in"), "fixed\n");
      config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["rbind", "rro"] });
    },
  },
  {
    name: "bundle: a bind mount without a source",
    args: ["true"],
    change: (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source: "/no/such/source", options: ["bind"] });
    },
    compare: (text) => failedStart(text),
  },
  {
    name: "bundle: a mount through a symbolic link of the image",
    args: sh("ls /real; cat /real/in"),
    prepare: (rootfs) => {
      mkdirSync(join(rootfs, "real"));
      symlinkSync("/real", join(rootfs, "link"));
    },
    change: (config, rootfs) => {
      const source = join(rootfs, "../source");
      mkdirSync(source);
      writeFileSync(join(source, "in"), "linked\n");
      config.mounts.push({ destination: "/link", type: "bind", source, options: ["bind"] });
    },
  },
  {
    name: "bundle: a mount through a symbolic link that leads out",
    args: sh("cat /tmp/in; ls -d /link /escape"),
    prepare: (rootfs) => {
      symlinkSync("../../../../escape", join(rootfs, "link"));
    },
    change: (config, rootfs) => {
      const source = join(rootfs, "../source");
      mkdirSync(source);
      writeFileSync(join(source, "in"), "kept in\n");
      config.mounts.push({ destination: "/link", type: "bind", source, options: ["bind"] });
    },
    files: ["escape"],
  },
  {
    name: "bundle: masked and read-only paths of one's own",
    args: sh(
      "cat /etc/passwd; ls -A /home; touch /etc/x; echo x > /etc/group; touch /home/x; ls /none; wc -l < /etc/group",
    ),
    change: ({ linux }) => {
      linux.maskedPaths.push("/etc/passwd", "/home", "/none");
      linux.readonlyPaths.push("/etc", "/none/either");
    },
  },
  {
    name: "bundle: no masked paths",
    args: sh("head -c 2 /proc/keys > /dev/null; echo $?; echo x > /proc/sys/kernel/domainname; echo $?"),
    change: ({ linux }) => {
      linux.maskedPaths = [];
      linux.readonlyPaths = [];
    },
  },
  {
    name: "bundle: sysctls",
    args: sh("cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward"),
    change: ({ linux }) => {
      Object.assign(linux, { sysctl: { "kernel.msgmax": "4321", "net.ipv4.ip_forward": "1" } });
    },
  },
  {
    name: "bundle: a sysctl that is not the container's",
    args: ["true"],
    change: ({ linux }) => {
      Object.assign(linux, { sysctl: { "vm.swappiness": "1" } });
    },
    compare: failedStart,
  },
  {
    name: "bundle: devices",
    args: sh("stat -c '%n %F %a %u:%g %t:%T' /dev/own /dev/deep/er; head -c 2 /dev/own | od -An -tx1"),
    change: ({ linux }) => {
      Object.assign(linux, {
        devices: [
          { path: "/dev/own", type: "c", major: 1, minor: 5, fileMode: 0o604, uid: 12, gid: 34 },
          { path: "/dev/deep/er", type: "c", major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 },
        ],
      });
      linux.resources.devices?.push(...[{ allow: true, access: "rwm", type: "c", major: 1, minor: 5 }]);
    },
  },
  {
    name: "bundle: without a /proc of its own",
    args: sh("ls -A /proc | wc -l"),
    change: (config) => {
      config.mounts = config.mounts.filter(({ destination }) => destination !== "/proc");
      config.linux.maskedPaths = [];
      config.linux.readonlyPaths = [];
    },
  },
  { name: "bundle: the process as the kernel sees it", args: ["/probe", "process"] },
  {
    name: "bundle: the process table",
    args: sh("ps -o pid,ppid,pgid,tty,args; ls /proc/self/fd | wc -l"),
    compare: processIds,
  },
  {
    name: "bundle: hosts of nobody: the root's own files",
    args: sh("ls -A /; ls -A /etc; ls -A /dev | sort"),
  },
  {
    name: "bundle: loopback",
    args: sh(
      "ip addr show lo | grep -o 'inet [^ ]*'; ls /sys/class/net; ping -c 1 -W 2 127.0.0.1 | grep -c transmitted",
    ),
  },
  {
    name: "bundle: files it leaves",
    args: sh(
      "cd /home; echo text > a; ln a b; ln -s a c; mkfifo d; mkdir e; chmod 1770 e; chown 5:6 a; chmod 4755 a; printf x > e/f; sync",
    ),
    files: ["home"],
  },
  {
    name: "bundle: a signal that ends the first process's child",
    args: sh("sh -c 'kill -9 $$'; echo $?; sh -c 'kill -15 $$'; exit $?"),
  },
  { name: "bundle: the end by a fault", args: ["/probe", "ends", "segv"] },
];
