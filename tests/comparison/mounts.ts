import { chmodSync, chownSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DockerRow, failedStart } from "../harness/comparison.ts";
import { asUser, bash, program, sh, tries, volume } from "./words.ts";

/** Mounts, volumes, a read-only root. */
export const MOUNTS: DockerRow[] = [
  {
    name: "--tmpfs",
    docker: ["--tmpfs", "/scratch"],
    command: sh(
      "awk '$2 == \"/scratch\" { print $3, $4 }' /proc/self/mounts; stat -c '%A %u:%g' /scratch; echo x > /scratch/x; cat /scratch/x",
    ),
  },
  {
    name: "--tmpfs with options",
    docker: ["--tmpfs", "/scratch:size=1m,mode=750,uid=5,gid=6,exec,suid,nr_inodes=20"],
    command: tries(
      "awk '$2 == \"/scratch\" { print $3, $4 }' /proc/self/mounts",
      "stat -c '%A %u:%g' /scratch",
      "df -k --output=size /scratch",
      "head -c 2000000 /dev/zero > /scratch/big",
      "cp /bin/true /scratch/t && /scratch/t",
    ),
  },
  {
    name: "--tmpfs forbids programs",
    docker: ["--tmpfs", "/scratch"],
    command: tries("cp /bin/true /scratch/t && /scratch/t", "mknod /scratch/n c 1 3", "echo x > /scratch/n"),
  },
  {
    name: "--tmpfs over what the image has",
    docker: ["--tmpfs", "/home"],
    command: sh("ls -A /home; stat -c '%A %u:%g' /home"),
  },
  {
    name: "--tmpfs with a wrong option",
    docker: ["--tmpfs", "/scratch:frobnicate"],
    command: ["true"],
    compare: failedStart,
  },
  {
    name: "--tmpfs over a file",
    docker: ["--tmpfs", "/etc/passwd"],
    command: ["true"],
    compare: (text) => failedStart(text).replace(/\/tmp\/ur-[^ "]*?merged/g, "ROOT"),
  },
  {
    name: "--mount type=tmpfs",
    docker: ["--mount", "type=tmpfs,destination=/scratch,tmpfs-size=65536,tmpfs-mode=1770"],
    command: sh("awk '$2 == \"/scratch\" { print $3, $4 }' /proc/self/mounts; stat -c '%A %u:%g' /scratch"),
  },
  {
    name: "--read-only",
    docker: ["--read-only"],
    command: tries(
      "touch /x",
      "touch /tmp/x",
      "echo x > /etc/hosts",
      "touch /dev/shm/x",
      "touch /dev/x",
      "mkdir /proc/x",
      "rm /etc/passwd",
      "awk '$2 == \"/\" { print substr($4, 1, 2) }' /proc/self/mounts",
    ),
  },
  {
    name: "--read-only with -w of nothing",
    docker: ["--read-only", "-w", "/made"],
    command: ["pwd"],
    compare: (text) => failedStart(text).replace(/\/tmp\/ur-[^ "]*?merged/g, "ROOT"),
  },
  {
    name: "--read-only with a volume at a new place",
    docker: ["--read-only", ...volume],
    command: tries("echo x > /data/x", "touch /x"),
  },
  {
    name: "a volume both ways",
    docker: volume,
    prepare: (directory) => {
      program(join(directory, "in"), "from the host\n", 0o640);
      mkdirSync(join(directory, "d"), 0o710);
      chownSync(join(directory, "in"), 12, 34);
      symlinkSync("in", join(directory, "link"));
      linkSync(join(directory, "in"), join(directory, "hard"));
    },
    command: sh(
      "cd /data; stat -c '%n %F %a %u:%g %h %s' * ; cat in link hard; echo out > out; mkdir new; echo more >> in; rm link; mv hard moved",
    ),
  },
  {
    name: "a read-only volume",
    docker: ["-v", "{dir}:/data:ro"],
    prepare: (directory) => writeFileSync(join(directory, "in"), "fixed\n"),
    command: tries(
      "cat /data/in",
      "touch /data/x",
      "echo x > /data/in",
      "rm /data/in",
      "chmod 777 /data",
      "awk '$2 == \"/data\" { print substr($4, 1, 3) }' /proc/self/mounts",
    ),
  },
  {
    name: "--mount readonly",
    docker: ["--mount", "type=bind,source={dir},target=/data,readonly"],
    command: tries("touch /data/x", "ls -A /data"),
  },
  {
    name: "--mount of nothing",
    docker: ["--mount", "type=bind,source={dir}/none,target=/data"],
    command: ["true"],
    compare: failedStart,
  },
  {
    name: "-v makes what is missing",
    docker: ["-v", "{dir}/new/deep:/data/new/deep"],
    command: sh("stat -c '%n %F %a %u:%g' /data /data/new /data/new/deep; touch /data/new/deep/x"),
  },
  {
    name: "a single file",
    docker: ["-v", "{dir}/file:/etc/one"],
    prepare: (directory) => program(join(directory, "file"), "one\n", 0o644),
    command: tries(
      "cat /etc/one",
      "echo two > /etc/one",
      "rm /etc/one",
      "mv /etc/passwd /etc/one",
      "stat -c '%F %a %s' /etc/one",
    ),
  },
  {
    name: "a single read-only file at a new place",
    docker: ["-v", "{dir}/file:/new/place/one:ro"],
    prepare: (directory) => program(join(directory, "file"), "one\n", 0o400),
    command: tries(
      "cat /new/place/one",
      "echo two > /new/place/one",
      "stat -c '%n %F %a %u:%g' /new /new/place",
    ),
  },
  {
    name: "a single file over the image's",
    docker: ["-v", "{dir}/file:/etc/passwd:ro"],
    prepare: (directory) => program(join(directory, "file"), "root:x:0:0::/elsewhere:/bin/sh\n", 0o644),
    command: sh("id; echo $HOME; cat /etc/passwd"),
  },
  {
    name: "a volume within a volume",
    docker: ["-v", "{dir}/outer:/data", "-v", "{dir}/inner:/data/below:ro"],
    prepare: (directory) =>
      ["outer", "inner"].forEach((name) => {
        mkdirSync(join(directory, name));
        writeFileSync(join(directory, name, name), name);
      }),
    command: tries("find /data | sort", "touch /data/x", "touch /data/below/x"),
  },
  {
    name: "a volume of a user without rights",
    docker: [...volume, ...asUser],
    prepare: (directory) => {
      chmodSync(directory, 0o755);
      program(join(directory, "secret"), "x\n", 0o600);
      program(join(directory, "group"), "y\n", 0o640);
      chownSync(join(directory, "group"), 0, 1000);
    },
    command: tries(
      "cat /data/secret",
      "cat /data/group",
      "touch /data/x",
      "echo z > /data/group",
      "rm /data/secret",
      "ls -ln --time-style=+ /data",
    ),
  },
  {
    name: "a volume whose names are long and strange",
    docker: volume,
    command: bash(
      "cd /data; touch -- 'a b' $'new\\nline' $'\\xff\\xfe' 'grüße' '世界 🚀' '-x' '*' '\\' \"$(printf %0255d 0)\"; touch \"$(printf %0256d 0)\" 2>&1 | tail -c 20; ls -A | wc -l; rm ./-x; ls -b",
    ),
  },
  {
    name: "--volume of a socket and a fifo",
    docker: volume,
    command: sh(
      "mkfifo /data/fifo; (echo through > /data/fifo &) ; cat /data/fifo; stat -c '%F %a' /data/fifo",
    ),
  },
  {
    name: "--workdir in a volume that is made",
    docker: [...volume, "-w", "/data/a/b"],
    command: sh("pwd; touch here"),
  },
  {
    name: "an anonymous volume has the image's files",
    docker: ["-v", "/home"],
    command: sh("stat -c '%n %a %u:%g' /home /home/user; touch /home/user/x"),
  },
];
