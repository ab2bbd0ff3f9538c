import { readableAge } from "./age.ts";
import type { Machine, MachineRecord, MachineState } from "./machine.ts";
import { shownPorts } from "./ports.ts";

/** A machine as a line of `bunny ps`, by Docker's names. */
export interface Listed {
  ID: string;
  Image: string;
  Command: string;
  CreatedAt: string;
  RunningFor: string;
  State: string;
  Status: string;
  Ports: string;
  Names: string;
  Labels: string;
}

const COMMAND_MOST = 20;
const SHORT_ID = 12;

/** @param now milliseconds since 1970 */
export function listed(record: MachineRecord, state: MachineState, whole: boolean, now: number): Listed {
  const command = shownCommand(record.args);
  return {
    ID: whole ? record.id : record.id.slice(0, SHORT_ID),
    Image: record.image.name,
    Command: JSON.stringify(
      whole || command.length <= COMMAND_MOST ? command : `${command.slice(0, COMMAND_MOST - 1)}…`,
    ),
    CreatedAt: record.created,
    RunningFor: `${readableAge(now - Date.parse(record.created))} ago`,
    State: stateName(state),
    Status: statusOf(state, now),
    Ports: state.kind === "running" ? shownPorts(record.ports) : "",
    Names: record.name,
    Labels: Object.entries(record.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(","),
  };
}

/** As Docker's `State.Status`. */
export function stateName(state: MachineState): "created" | "running" | "exited" {
  return state.kind === "abandoned" ? "exited" : state.kind;
}

function statusOf(state: MachineState, now: number): string {
  switch (state.kind) {
    case "created":
      return "Created";
    case "running":
      return `Up ${readableAge(now - state.since)}`;
    case "exited":
      return `Exited (${state.end.status}) ${readableAge(now - state.end.at)} ago`;
    case "abandoned":
      return "Exited (137)";
  }
}

/** What a terminal would take for its own is shown as `?`. */
function shownCommand(args: readonly string[]): string {
  return args.join(" ").replace(/\p{Cc}/gu, "?");
}

const COLUMNS: [title: string, key: keyof Listed][] = [
  ["MACHINE ID", "ID"],
  ["IMAGE", "Image"],
  ["COMMAND", "Command"],
  ["CREATED", "RunningFor"],
  ["STATUS", "Status"],
  ["PORTS", "Ports"],
  ["NAMES", "Names"],
];

export function table(rows: readonly Listed[]): string {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, key]) => row[key]))];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((row) => (row[column] as string).length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd((widths[column] as number) + 3))
        .join("")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** What `bunny inspect` says of a machine. */
export function inspected(machine: Machine, pid: number): object {
  const { record } = machine;
  const state = machine.state();
  const since = "since" in state ? state.since : undefined;
  const end = state.kind === "exited" ? state.end : undefined;
  return {
    Id: record.id,
    Name: record.name,
    Created: record.created,
    State: {
      Status: stateName(state),
      Running: state.kind === "running",
      Pid: state.kind === "running" ? pid : 0,
      ExitCode: end?.status ?? (state.kind === "abandoned" ? 137 : 0),
      StartedAt: since === undefined ? null : new Date(since).toISOString(),
      FinishedAt: end === undefined ? null : new Date(end.at).toISOString(),
    },
    Image: record.image.name,
    ImageDigest: record.image.digest,
    Args: record.args,
    Tty: record.terminal,
    OpenStdin: record.interactive,
    Detached: record.detached,
    AutoRemove: record.remove,
    Network: record.network,
    Ports: record.ports,
    Labels: record.labels,
    StopSignal: record.stopSignal,
    Directory: machine.path,
  };
}
