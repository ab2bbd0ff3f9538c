import type { DockerRow } from "../harness/comparison.ts";
import { asUser, bash, probe, sh, tries, volume } from "./words.ts";

/** What files do, on the root, on a volume and on a tmpfs. */
export const FILES: DockerRow[] = [
  {
    name: "modes and owners",
    docker: volume,
    command: sh(
      "cd /data; touch a b c; mkdir d e; chmod 4755 a; chmod 2644 b; chmod 000 c; chmod 1777 d; chmod 2755 e; chown 12:34 a b d; touch e/f; umask 077; touch g; mkdir h; stat -c '%n %A %u:%g' * e/f",
    ),
  },
  {
    name: "what the container changed",
    changes: true,
    command: sh(
      "echo x > /home/user/new; chmod 640 /home/user/new; rm /usr/bin/tac; mkdir -p /opt/a/b; ln -s /etc /opt/link; echo more >> /etc/group; mv /usr/bin/wc /opt/wc; rm -r /usr/share/tabset; chmod 700 /srv /home",
    ),
  },
  {
    name: "what the container wrote, out of it",
    prepare: () => {},
    command: sh(
      "mkdir /out; cd /out; echo text > text; chmod 4711 text; chown 5:6 text; ln text hard; ln -s text soft; mkfifo fifo; mkdir d; echo ready; sleep 1000",
    ),
    steps: [["cp", "{id}:/out/.", "{dir}"]],
  },
  {
    name: "the same files seen at a second start",
    command: sh(
      "cd /home/user; if [ -e text ]; then stat -c '%n %F %A %u:%g %h %s' *; else echo text > text; chown 5:6 text; chmod 6711 text; ln text hard; ln -s x soft; mkfifo fifo; mknod dev c 1 3; mkdir d; truncate -s 1m sparse; fi; echo ready; trap 'exit 0' TERM; while :; do sleep 0.1; done",
    ),
    steps: [["restart", "{id}"], { until: "sparse" }, ["logs", "{id}"]],
  },
  ...(["image", "volume", "tmpfs"] as const).flatMap((place) => {
    const docker = [
      ...probe,
      ...(place === "volume" ? volume : place === "tmpfs" ? ["--tmpfs", "/data"] : ["-w", "/data"]),
    ];
    return [
      { name: `shared memory of a file: ${place}`, docker, command: ["/probe", "mmap", "/data/x"] },
      { name: `a stream socket: ${place}`, docker, command: ["/probe", "stream", "/data/x"] },
      { name: `a datagram socket: ${place}`, docker, command: ["/probe", "datagram", "/data/x"] },
      { name: `locks of a part: ${place}`, docker, command: ["/probe", "lock", "/data/x"] },
      { name: `extended attributes: ${place}`, docker, command: ["/probe", "xattr", "/data/x"] },
      { name: `holes: ${place}`, docker, command: ["/probe", "holes", "/data/x"] },
      { name: `renaming: ${place}`, docker, command: ["/probe", "renames", "/data"] },
      { name: `unnamed files: ${place}`, docker, command: ["/probe", "unnamed", "/data"] },
      { name: `watched files: ${place}`, docker, command: ["/probe", "inotify", "/data"] },
      { name: `times: ${place}`, docker, command: ["/probe", "times", "/data/x"] },
      {
        name: `links: ${place}`,
        docker,
        command: tries(
          "cd /data; echo x > a; ln a b; ln -s a c; ln -s /none d; stat -c '%n %F %h %s' *; cat c; cat d; readlink d; rm a; cat b; cat c; ln d e; stat -c '%n %F' e; ln -s loop loop; cat loop; mkdir f; ln f g",
        ),
      },
      {
        name: `other kinds of writing: ${place}`,
        docker,
        command: tries(
          "cd /data; echo one > a; echo two >> a; cat a; set -C; echo three > a",
          "cd /data; truncate -s 3 a; cat a; truncate -s 10 a; od -c a; dd if=/dev/zero of=a bs=1 seek=20 count=1 conv=notrunc status=none; stat -c %s a",
          "cd /data; flock a flock -n a echo no",
          "cd /data; flock -s a flock -sn a echo both; exec 3<a; rm a; cat <&3 | wc -c",
          "cd /data; dd if=/dev/zero of=direct bs=4096 count=4 oflag=direct status=none; stat -c %s direct; sync; sync -f direct",
        ),
      },
    ];
  }),
  {
    name: "a directory of 3000 files",
    docker: volume,
    command: sh(
      "cd /data; seq -f 'file-%04g' 3000 | xargs touch; ls | wc -l; ls | sha256sum; rm file-1*; ls | wc -l",
    ),
  },
  {
    name: "a directory of 3000 files in the image",
    command: sh(
      "cd /home/user; seq -f 'file-%04g' 3000 | xargs touch; ls | wc -l; ls | sha256sum; rm file-1*; ls | wc -l",
    ),
  },
  {
    name: "a deep path",
    docker: volume,
    command: sh(
      "cd /data; p=; for i in $(seq 60); do p=$p/directory$i; mkdir ./$p; done; echo x > ./$p/x; cat ./$p/x; find . | wc -l; rm -r directory1; ls -A",
    ),
  },
  {
    name: "a big file",
    docker: volume,
    command: sh(
      "seq 2000000 > /data/x; sha256sum /data/x; dd if=/data/x bs=100000 skip=50 count=1 status=none | sha256sum; rm /data/x",
    ),
  },
  {
    name: "archives keep what they hold",
    docker: volume,
    command: sh(
      "tar -C /etc -cf - --exclude=./host* --exclude=./resolv.conf . | tar -C /data -xpf -; find /data -printf '%P %y %m %U:%G %s %l\\n' | grep -v ^host | grep -v resolv | sort | sha256sum; cp -a /etc/alternatives /tmp/ 2>/dev/null; tar -C /usr/bin -cf - . | tar -tf - | wc -l",
    ),
  },
  {
    name: "rights of a user",
    docker: asUser,
    command: tries(
      "cat /etc/passwd | wc -l",
      "touch /etc/x",
      "cat /root/x",
      "echo x > /tmp/x; chmod 400 /tmp/x; echo y > /tmp/x",
      "chown 0 /tmp/x",
      "rm /etc/passwd",
      "mkdir /home/user/d; touch /home/user/d/f; stat -c '%u:%g' /home/user/d/f",
      "ls /root",
      "cd /root",
      "kill -9 1; echo alive",
    ),
  },
  {
    name: "the sticky bit",
    docker: asUser,
    command: tries(
      "touch /tmp/mine; rm /tmp/mine",
      "rm -f /.dockerenv",
      "rmdir /tmp",
      "mv /var/tmp /var/tmp2",
    ),
  },
  {
    name: "group rights that a directory hands down",
    command: sh(
      "mkdir /srv/g; chown :100 /srv/g; chmod 2775 /srv/g; touch /srv/g/f; mkdir /srv/g/d; stat -c '%n %A %g' /srv/g/f /srv/g/d",
    ),
  },
  {
    name: "the image's files as they were packed",
    command: sh(
      "find /bin/ /etc /home /root /var /lib64 -xdev ! -name hosts ! -name hostname ! -name resolv.conf ! -path /etc/mtab -printf '%p %y %m %U:%G %l\\n' | sort | sha256sum; find / -xdev -perm /6000 | sort; find /usr -xdev -type f | wc -l",
    ),
  },
  {
    name: "a program that is running cannot be written",
    command: tries(
      "cp /bin/sleep /tmp/s; /tmp/s 2 & sleep 0.3; echo x > /tmp/s; cp /bin/true /tmp/s",
      "rm /tmp/s; cp /bin/true /tmp/s; /tmp/s",
    ),
  },
  {
    name: "files by number, with a process in between",
    command: bash(
      "exec 7> /tmp/seven; echo kept >&7; bash -c 'echo inherited >&7'; exec 7>&-; cat /tmp/seven; cat <(echo substituted); readlink /proc/$$/fd/7; echo $?",
    ),
  },
];
