import { RECORD_HEADER, type Tag } from "./protocol.ts";

/** One field of a record's value, with the width that the wire has (`docs/guest-protocol.md`, "Documents"). */
export type Field =
  | { u8: number }
  | { u16: number }
  | { u32: number }
  | { i32: number }
  | { u64: bigint }
  | { bytes: Uint8Array }
  | { string: string };

/** Collects records into one document: each `add` appends one, `bytes` gives them all. */
export class DocumentWriter {
  readonly #records: Uint8Array[] = [];
  #length = 0;

  add(tag: Tag, ...fields: Field[]): this {
    const values = fields.map(encodeField);
    const length = values.reduce((sum, value) => sum + value.length, 0);
    const record = new Uint8Array(RECORD_HEADER + length);
    const view = new DataView(record.buffer);
    view.setUint16(0, tag, true);
    view.setUint32(4, length, true);
    let at = RECORD_HEADER;
    for (const value of values) {
      record.set(value, at);
      at += value.length;
    }
    this.#records.push(record);
    this.#length += record.length;
    return this;
  }

  /** The document so far. */
  bytes(): Uint8Array {
    const document = new Uint8Array(this.#length);
    let at = 0;
    for (const record of this.#records) {
      document.set(record, at);
      at += record.length;
    }
    return document;
  }
}

const text = new TextEncoder();

function encodeField(field: Field): Uint8Array {
  if ("bytes" in field) return field.bytes;
  if ("string" in field) {
    const encoded = text.encode(field.string);
    const terminated = new Uint8Array(encoded.length + 1);
    terminated.set(encoded);
    return terminated;
  }
  const number = new DataView(new ArrayBuffer(8));
  if ("u8" in field) {
    number.setUint8(0, field.u8);
    return new Uint8Array(number.buffer, 0, 1);
  }
  if ("u16" in field) {
    number.setUint16(0, field.u16, true);
    return new Uint8Array(number.buffer, 0, 2);
  }
  if ("u32" in field) {
    number.setUint32(0, field.u32, true);
    return new Uint8Array(number.buffer, 0, 4);
  }
  if ("i32" in field) {
    number.setInt32(0, field.i32, true);
    return new Uint8Array(number.buffer, 0, 4);
  }
  number.setBigUint64(0, field.u64, true);
  return new Uint8Array(number.buffer, 0, 8);
}
