import { type Config, monitorConfig } from "../config/config.ts";
import { UruncError } from "../errors.ts";
import type { AccelerationDecision } from "./acceleration.ts";
import { chooseMonitor, type MonitorChoice } from "./choose.ts";
import { placeOf } from "./libraries.ts";
import { locateMonitor } from "./locate.ts";
import type { MonitorName } from "./vm-spec.ts";

/**
 * The monitor of a container, by what is installed here.
 *
 * @param wished what the image says it was made for
 * @throws UruncError `monitor-missing`, `not-supported`: one is demanded that cannot be had
 */
export function findMonitor(
  config: Config,
  wished: string | undefined,
  acceleration: AccelerationDecision,
): MonitorChoice {
  return chooseMonitor({
    demanded: config.monitor,
    wished,
    acceleration,
    missing: (name) => whyMissing(config, name),
  });
}

function whyMissing(config: Config, name: MonitorName): string | undefined {
  try {
    const program = locateMonitor(name, monitorConfig(config, name).path);
    if (placeOf(program).startsWith("/usr/")) return undefined;
    return `${program} is not below /usr, where the sandbox has its programs: install it there`;
  } catch (error) {
    if (error instanceof UruncError) return error.message;
    throw error;
  }
}
