import type { ContainerDirectory } from "../container/directory.ts";
import { removeNetwork } from "../network/apply.ts";

/**
 * Removes what the runtime itself keeps of a container whose sandbox is gone: taps and redirects, then the state
 * directory. May be called any number of times.
 *
 * @throws UruncError `network`; the directory stays then, for another try
 */
export async function discard(directory: ContainerDirectory): Promise<void> {
  const record = directory.read();
  if (record?.kind === "vm") {
    const path = record.spec.linux?.namespaces?.find(({ type }) => type === "network")?.path;
    // A namespace without a path of its own went with the sandbox's last process, and the taps with it.
    if (path) await removeNetwork(path, directory.id);
  }
  directory.remove();
}
