/** What was looked for on this host, and what was found. */
export interface Finding {
  readonly what: string;
  readonly state: State;
  /** What was found, in few words. */
  readonly found: string;
  /** One line: what to install or do. Where nothing is to be done, none. */
  readonly remedy?: string;
}

/** Whether machines run with what was found. */
export type State =
  /** As well as they can. */
  | "ok"
  /** Without something that is named. */
  | "less"
  /** Not at all. */
  | "not";

/** Findings of one kind. */
export interface Group {
  readonly name: string;
  readonly findings: readonly Finding[];
}

/** Whether containers can run as machines. */
export function canRunMachines(groups: readonly Group[]): boolean {
  return !groups.some(({ findings }) => findings.some(({ state }) => state === "not"));
}

/** Who asks: another user than root needs other things. */
export type Caller = "root" | "user";
