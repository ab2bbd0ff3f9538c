/** Something that can be seen to be other than under runc. */
export interface Difference {
  /** A heading of `docs/differences-from-runc.md`, which gives the reason. */
  readonly title: string;
  /** The rows that show it. */
  readonly rows: readonly string[];
}

/** The whole list; at most {@link MOST_DIFFERENCES}. */
export const DIFFERENCES: readonly Difference[] = [
  { title: "`domainname` is applied", rows: ["bundle: domainname"] },
  {
    title: "Switches of the whole kernel can be set",
    rows: ["bundle: a sysctl that is not the container's"],
  },
  { title: "A container without `/proc` runs", rows: ["bundle: without a /proc of its own"] },
  {
    title: "Shared directories have no unnamed files and no access control lists",
    rows: ["unnamed files: image", "unnamed files: volume"],
  },
  { title: "Devices are the guest's", rows: ["devices one makes oneself"] },
  { title: "`docker top` and `ps --format json` show the host's processes", rows: [] },
  { title: "`OOMKilled` needs the first process to be the victim", rows: [] },
  { title: "Host networking is one's own", rows: [] },
  { title: "AppArmor and SELinux are not applied", rows: [] },
  { title: "User namespaces and `startContainer` hooks are refused", rows: [] },
  { title: "What the host changes in a volume is not announced", rows: [] },
  { title: "Descriptors are not handed on", rows: [] },
];

export const MOST_DIFFERENCES = 12;
