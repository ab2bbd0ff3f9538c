import type { ContainerDirectory } from "../container/directory.ts";
import { UruncError } from "../errors.ts";
import { removeNetwork } from "../network/apply.ts";
import type { Log } from "./log.ts";
import { putRootDeviceBack } from "./root-device.ts";

/**
 * Removes what the runtime itself keeps of a container whose sandbox is gone: taps and redirects, then the state
 * directory; a root that the machine had is mounted on the host again. May be called any number of times.
 *
 * @throws UruncError `network`; the directory stays then, for another try
 */
export async function discard(directory: ContainerDirectory, log: Log): Promise<void> {
  const record = directory.read();
  if (record?.kind === "vm") {
    const path = record.spec.linux?.namespaces?.find(({ type }) => type === "network")?.path;
    // A namespace without a path of its own went with the sandbox's last process, and the taps with it.
    if (path) await removeNetwork(path, directory.id);
    try {
      putRootDeviceBack(directory, record);
    } catch (error) {
      // To keep the container would not mend it.
      if (!(error instanceof UruncError)) throw error;
      log.warning(error.message);
    }
  }
  directory.remove();
}
