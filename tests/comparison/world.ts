import { type DockerRow, failedStart } from "../harness/comparison.ts";
import { addresses, asUser, mountsAt, probe, sh, tries } from "./words.ts";

/** What the process finds around it: devices, /proc, names, network, kernel's switches. */
export const WORLD: DockerRow[] = [
  ...["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"].map((place) => ({
    name: `the mount at ${place}`,
    command: mountsAt(place),
  })),
  { name: "the mount of a terminal", docker: ["-t"], command: mountsAt("/dev/console") },
  {
    name: "read-only paths are mounts",
    command: mountsAt("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"),
  },
  {
    name: "read-only mounts",
    command: sh("awk '$2 != \"/\" && $4 ~ /^ro,/ && $2 !~ /cgroup/ { print $2 }' /proc/self/mounts | sort"),
  },
  {
    name: "places of mounts",
    command: sh("awk '$2 !~ /cgroup/ { print $2 }' /proc/self/mounts | sort | uniq -c"),
  },
  {
    name: "/dev",
    command: sh("cd /dev; find . | sort | while read -r f; do stat -c '%n %F %a %u:%g %t:%T %N' $f; done"),
  },
  {
    name: "/dev with a terminal",
    docker: ["-t"],
    command: sh("cd /dev; find . | sort | while read -r f; do stat -c '%n %F %a %u:%g' $f; done"),
  },
  {
    name: "what devices do",
    command: tries(
      "head -c 4 /dev/zero | od -An -tx1",
      "echo x > /dev/null",
      "cat /dev/null",
      "echo x > /dev/full",
      "head -c 4 /dev/full | od -An -tx1",
      "head -c 9 /dev/random | wc -c",
      "head -c 9 /dev/urandom | wc -c",
      "echo x > /dev/random",
      "cat /dev/tty",
      "echo x > /dev/console",
      "echo x > /dev/new; cat /dev/new",
    ),
  },
  {
    name: "devices as a user",
    docker: asUser,
    command: tries(
      "echo x > /dev/null",
      "head -c 9 /dev/urandom | wc -c",
      "touch /dev/x",
      "echo x > /dev/random",
    ),
  },
  {
    name: "devices one makes oneself",
    command: tries(
      "mknod /tmp/null c 1 3 && echo x > /tmp/null",
      "mknod /tmp/zero c 1 5 && head -c 2 /tmp/zero | od -An -tx1",
      "mknod /tmp/disk b 8 0 && cat /tmp/disk",
      "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem",
      "stat -c '%n %F %t:%T' /tmp/*",
    ),
  },
  {
    name: "--device",
    docker: ["--device", "/dev/zero:/dev/nought:r", "--device", "/dev/null:/dev/deep/er/none"],
    command: sh(
      "stat -c '%n %F %a %t:%T' /dev/nought /dev/deep /dev/deep/er/none; head -c 2 /dev/nought | od -An -tx1",
    ),
  },
  {
    name: "--device that the host lacks",
    docker: ["--device", "/dev/no-such"],
    command: ["true"],
    compare: failedStart,
  },
  {
    name: "masked paths",
    command: sh(
      "for p in /proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/sched_debug /proc/scsi /sys/firmware; do echo $p; cat $p 2>&1 | od -c | head -2; ls -A $p; touch $p/x; echo x > $p; done 2>&1",
    ),
  },
  {
    name: "read-only paths",
    command: tries(
      "echo x > /proc/sys/kernel/hostname",
      "echo 1 > /proc/sys/vm/drop_caches",
      "echo h > /proc/sysrq-trigger",
      "echo 1 > /proc/irq/default_smp_affinity",
      "ls /proc/bus > /dev/null",
      "touch /proc/fs/x",
      "touch /sys/x",
      "echo x > /sys/kernel/uevent_helper",
    ),
  },
  {
    name: "what of /proc can be written",
    command: tries(
      "echo 5 > /proc/self/oom_score_adj",
      "cat /proc/self/oom_score_adj",
      "echo name > /proc/self/comm",
      "echo 1 > /proc/1/oom_score_adj",
      "echo -1 > /proc/self/oom_score_adj",
    ),
  },
  {
    name: "the system's name",
    docker: ["--hostname", "box"],
    command: sh("hostname; uname -nsmo; cat /proc/sys/kernel/hostname /etc/hostname; echo $HOSTNAME"),
  },
  {
    name: "--hostname with --domainname",
    docker: ["--hostname", "box", "--domainname", "lan.test"],
    command: sh("hostname; hostname -d; cat /proc/sys/kernel/domainname /etc/hostname; grep box /etc/hosts"),
    compare: addresses,
  },
  { name: "a long name", docker: ["--hostname", "a".repeat(63)], command: sh("hostname; cat /etc/hostname") },
  {
    name: "a name by default",
    command: sh('test "$(hostname)" = "$(cat /etc/hostname)" && hostname | tr 0-9a-f x'),
  },
  {
    name: "/etc/hosts, /etc/resolv.conf, /etc/hostname",
    docker: [
      "--hostname",
      "box",
      "--add-host",
      "peer:192.0.2.7",
      "--dns",
      "192.0.2.53",
      "--dns-search",
      "example.test",
      "--dns-option",
      "ndots:3",
    ],
    command: sh(
      "cat /etc/hosts /etc/resolv.conf /etc/hostname; stat -c '%n %F %a %u:%g' /etc/hosts /etc/resolv.conf /etc/hostname",
    ),
    compare: addresses,
  },
  {
    name: "the three files can be written but not replaced",
    docker: ["--hostname", "box", "--network", "none"],
    command: tries(
      "echo 192.0.2.1 more >> /etc/hosts; cat /etc/hosts",
      "mv /etc/passwd /etc/hosts",
      "rm /etc/resolv.conf",
      "echo nameserver 192.0.2.2 > /etc/resolv.conf; cat /etc/resolv.conf",
    ),
  },
  {
    name: "names that files know",
    docker: ["--hostname", "box", "--add-host", "peer:192.0.2.7"],
    command: tries(
      "getent hosts peer",
      "getent hosts localhost",
      "getent ahostsv4 box",
      "getent passwd user",
      "getent hosts nosuch.invalid",
    ),
    compare: addresses,
  },
  {
    name: "--network none",
    docker: ["--network", "none", "--hostname", "box"],
    command: sh(
      "cat /etc/hosts; ls /sys/class/net; ip -o addr show lo | tr -s ' '; ip route; ping -c 1 -W 2 127.0.0.1 | tail -2 | head -1; ping -c 1 192.0.2.1",
    ),
    compare: (text) => text.replace(/time \d+ms/, "time Nms"),
  },
  {
    name: "interfaces",
    command: sh(
      "ls /sys/class/net; ip -o -4 addr | tr -s ' ' | cut -d ' ' -f 2-; ip route; cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address /sys/class/net/eth0/operstate",
    ),
    compare: addresses,
  },
  {
    name: "interfaces of IPv6",
    command: sh(
      "ip -o -6 addr show eth0 | grep -o 'inet6 [^ ]*'; ip -6 route show default | grep -o '^default via [^ ]* dev eth0'",
    ),
    compare: addresses,
  },
  {
    name: "ping of the gateway, as root and as a user",
    command: tries(
      "ping -q -c 1 172.30.0.1 | grep transmitted",
      "setpriv --reuid 1000 --clear-groups ping -q -c 1 172.30.0.1 | grep transmitted",
    ),
    compare: (text) => text.replace(/time \d+ms/g, "time Nms"),
  },
  {
    name: "an unreachable port",
    command: tries("curl -sS --max-time 5 http://172.30.0.1:1/", "curl -sS --max-time 5 http://127.0.0.1:1/"),
    compare: (text) => text.replace(/after \d+ ms/g, "after N ms"),
  },
  ...(
    [
      ["net.ipv4.ip_unprivileged_port_start", "1024"],
      ["net.ipv4.ping_group_range", "5 10"],
      ["net.core.somaxconn", "123"],
      ["kernel.msgmax", "12345"],
      ["kernel.shmmax", "1234567"],
      ["kernel.sem", "100 200 30 40"],
      ["fs.mqueue.msg_max", "17"],
    ] as const
  ).map(([name, value]) => ({
    name: `--sysctl ${name}`,
    docker: ["--sysctl", `${name}=${value}`],
    command: ["cat", `/proc/sys/${name.replaceAll(".", "/")}`],
  })),
  {
    name: "sysctls by default",
    command: sh(
      "cd /proc/sys; grep . net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range net/ipv4/ip_forward net/ipv4/ip_local_port_range kernel/msgmax kernel/msgmnb kernel/shmmni kernel/sem fs/mqueue/msg_max net/ipv6/conf/eth0/disable_ipv6 net/ipv6/conf/all/forwarding",
    ),
  },
  {
    name: "--sysctl that does not exist",
    docker: ["--sysctl", "net.no.such=1"],
    command: ["true"],
    compare: failedStart,
  },
  {
    name: "--sysctl of the whole machine",
    docker: ["--sysctl", "vm.swappiness=1"],
    command: ["true"],
    compare: failedStart,
  },
  {
    name: "/dev/shm",
    command: sh(
      "stat -c '%A %u:%g' /dev/shm; df -k --output=size,used /dev/shm; echo x > /dev/shm/x; cat /dev/shm/x",
    ),
  },
  {
    name: "--shm-size",
    docker: ["--shm-size", "2m"],
    command: tries(
      "df -k --output=size /dev/shm",
      "head -c 3000000 /dev/zero > /dev/shm/x",
      "stat -c %s /dev/shm/x",
    ),
  },
  {
    name: "/proc shows no processes but the container's",
    command: sh("set -- /proc/[0-9]*; echo $#; wc -w < /proc/loadavg; ls -A /proc/1/task"),
  },
  { name: "--pids-limit", docker: [...probe, "--pids-limit", "12"], command: ["/probe", "forks"] },
  {
    name: "the time zone and the clock",
    docker: ["-e", "TZ=XYZ-3"],
    command: sh("date +%Z%z; date -u +%Y-%m-%dT%H"),
  },
  {
    name: "POSIX queues and semaphores",
    command: sh(
      "touch /dev/mqueue/x; ls -l /dev/mqueue | wc -l; ipcs | grep -c key; ipcmk -Q | sed 's/[0-9]*$/N/'; ipcs -q | wc -l",
    ),
  },
  {
    name: "/etc/mtab and its kind",
    command: sh(
      "ls /proc/mounts >/dev/null && readlink /proc/mounts; readlink /dev/fd /dev/stdin /dev/ptmx /dev/core",
    ),
  },
  { name: "the .dockerenv", command: sh("stat -c '%n %a %s' /.dockerenv; ls -A /") },
];
