import { ContainerDirectory } from "../container/directory.ts";
import { lookForMachine } from "../machines/catalog.ts";
import { runtimeContext } from "../machines/engine.ts";
import { inspected } from "../machines/listing.ts";
import { openPlaces } from "../machines/places.ts";
import { Engine } from "../runtime/engine.ts";
import { containerStatus } from "../runtime/status.ts";

/** What is known of the machine of a name or identifier; undefined: there is none. */
export function inspectMachine(name: string): object | undefined {
  // A name of another form is an image's, and machines' places need not be made for it.
  if (!/^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return undefined;
  const places = openPlaces();
  const machine = lookForMachine(places, name);
  if (machine === undefined) return undefined;
  const context = runtimeContext(places);
  const exists = new ContainerDirectory(context.root, machine.id).exists();
  const status = exists ? containerStatus(new Engine(context), machine.id, true) : undefined;
  return inspected(machine, status?.kind === "known" ? status.pid : 0);
}
