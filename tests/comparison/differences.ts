/** Something that can be seen to be other than under runc. */
export interface Difference {
  /** A heading of `docs/differences-from-runc.md`, which gives the reason. */
  readonly title: string;
  /** The rows that show it. */
  readonly rows: readonly string[];
}

/** The whole list; at most {@link MOST_DIFFERENCES}. */
export const DIFFERENCES: readonly Difference[] = [
  {
    title: "More is applied and allowed",
    rows: [
      "bundle: domainname",
      "bundle: a sysctl that is not the container's",
      "bundle: without a /proc of its own",
    ],
  },
  {
    title: "Shared directories have no unnamed files and no access control lists",
    rows: ["unnamed files: image", "unnamed files: volume"],
  },
  { title: "Devices are the guest's", rows: ["devices one makes oneself"] },
  { title: "What the host changes in a volume is not announced", rows: [] },
  { title: "`docker top`, `docker stats` and `ps --format json` show the host's processes", rows: [] },
  { title: "`OOMKilled` needs the first process to be the victim", rows: [] },
  { title: "`kill --all` reaches the first process and those of `exec`", rows: [] },
  { title: "A clock that is set on the host later is not followed", rows: [] },
  { title: "A terminal without a console socket has one carriage return more", rows: [] },
  { title: "Host networking is one's own", rows: [] },
  { title: "AppArmor and SELinux are not applied", rows: [] },
  { title: "What a machine cannot have is refused", rows: [] },
];

export const MOST_DIFFERENCES = 12;
