import { addressBytes } from "../network/address.ts";
import type { Resolver } from "../network/resolvers.ts";
import type { DocumentWriter } from "./document.ts";
import type { Tag } from "./protocol.ts";

/** Adds a `RESOLVER` record for each (`docs/guest-protocol.md`, "Names"), to either document. */
export function addResolvers(document: DocumentWriter, tag: Tag, resolvers: readonly Resolver[]): void {
  for (const { family, address } of resolvers) {
    document.add(tag, { u8: family }, { u8: 0 }, { u16: 0 }, { bytes: addressBytes(family, address) });
  }
}
