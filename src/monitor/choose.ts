import { UruncError } from "../errors.ts";
import type { AccelerationDecision } from "./acceleration.ts";
import { MONITOR_NAMES, MONITORS } from "./monitors.ts";
import type { MonitorName } from "./vm-spec.ts";

/** What decides which monitor runs a container. */
export interface MonitorCircumstances {
  /** What the host's configuration says, or who creates the container. */
  readonly demanded?: MonitorName | undefined;
  /** What the image says it was made for. */
  readonly wished?: string | undefined;
  readonly acceleration: AccelerationDecision;
  /** Why a monitor cannot be started, as a sentence; undefined: it is there. */
  missing(name: MonitorName): string | undefined;
}

export interface MonitorChoice {
  readonly name: MonitorName;
  /** Why so: the end of a sentence. */
  readonly reason: string;
  /** For the log. */
  readonly warnings: readonly string[];
  /** Only the image wishes it: where the monitor cannot run the container, QEMU does. */
  readonly yields: boolean;
}

/** Other words of images for the same. */
const WISHES: Readonly<Record<string, MonitorName>> = {
  ...Object.fromEntries(MONITOR_NAMES.map((name) => [name, name])),
  clh: "cloud-hypervisor",
};

/**
 * Chooses the monitor. What somebody demands is used or refused; what an image was made for is a wish, and QEMU, which runs
 * every image, takes its place with a warning.
 *
 * @throws UruncError `monitor-missing`, `not-supported`
 */
export function chooseMonitor(circumstances: MonitorCircumstances): MonitorChoice {
  const { demanded, wished } = circumstances;
  if (demanded !== undefined) {
    refuse(demanded, circumstances);
    return { name: demanded, reason: "runtime.monitor says so", warnings: [], yields: false };
  }
  if (wished === undefined) return ordinary("nothing asks for another");
  const name = WISHES[wished.toLowerCase()];
  if (name === "qemu") return ordinary("the image asks for it");
  const sentence = name === undefined ? "is not supported" : whyNot(name, circumstances);
  if (name === undefined || sentence !== undefined) return instead(wished, sentence as string);
  return { name, reason: "the image asks for it", warnings: [], yields: true };
}

function ordinary(reason: string): MonitorChoice {
  return { name: "qemu", reason, warnings: [], yields: false };
}

/**
 * QEMU, in the place of what the image wishes.
 *
 * @param why as the end of a sentence about that monitor
 */
export function instead(wished: string, why: string): MonitorChoice {
  const warning = `the image wants the monitor ${wished.slice(0, 40)}, which ${why}: QEMU runs it`;
  return { ...ordinary("it runs every image"), warnings: [warning] };
}

/** Why a monitor cannot be used, as the end of a sentence about it. */
function whyNot(name: MonitorName, { acceleration, missing }: MonitorCircumstances): string | undefined {
  if (missing(name) !== undefined) return "is not installed below /usr";
  if (!MONITORS[name].needsKvm || acceleration.kind === "kvm") return undefined;
  return `needs hardware KVM, and ${acceleration.reason}`;
}

function refuse(name: MonitorName, { acceleration, missing }: MonitorCircumstances): void {
  const sentence = missing(name);
  if (sentence !== undefined) {
    const others = MONITOR_NAMES.filter((other) => other !== name && missing(other) === undefined);
    const installed = others.length === 0 ? "no other monitor is" : `installed is ${others.join(" and ")}`;
    throw new UruncError(
      "monitor-missing",
      `${sentence} (runtime.monitor is ${JSON.stringify(name)}; ${installed})`,
    );
  }
  if (!MONITORS[name].needsKvm || acceleration.kind === "kvm") return;
  throw new UruncError(
    "not-supported",
    `runtime.monitor is ${JSON.stringify(name)}, which needs hardware KVM, and ${acceleration.reason}: ` +
      'leave it away or say "qemu", which does without',
  );
}
