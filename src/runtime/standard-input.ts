import { fstatSync } from "node:fs";

/** The device number of `/dev/null`, major 1 and minor 3, as `stat(2)` has it. */
const NULL_DEVICE = 0x103;

/** Whether standard input is `/dev/null`, as Docker gives it to a container without `-i`: the guest then has its own. */
export function standardInputIsNull(): boolean {
  try {
    const status = fstatSync(0);
    return status.isCharacterDevice() && status.rdev === NULL_DEVICE;
  } catch {
    // It is closed.
    return false;
  }
}
