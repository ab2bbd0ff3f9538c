import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { UruncError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import { type Located, type Position, wrongAt } from "./position.ts";

/** Bytes of a file that a person writes. */
const MAXIMUM = 1 << 20;

/** A key of a mapping, and what it has. */
export interface Field {
  key: Located<string>;
  node: Node | null;
}

/** Takes values out of a YAML document, each checked; what is wrong is said with its place. */
export class YamlReader {
  readonly #name: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;

  /**
   * @param name of the file, for sentences
   * @throws UruncError `build-file` for what is no YAML, or YAML that has a key twice
   */
  constructor(text: string, name: string) {
    this.#name = name;
    if (text.length > MAXIMUM) {
      throw new UruncError(
        "build-file",
        `${name} has more than ${MAXIMUM} characters, which is no bunnyfile`,
      );
    }
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, stringKeys: true });
    const [error] = this.#document.errors;
    if (error === undefined) return;
    const sentence =
      error.code === "DUPLICATE_KEY"
        ? "this key is there twice: leave one of them out"
        : `this is no YAML: ${error.message}`;
    throw wrongAt(name, this.#position(error.pos[0]), sentence, error);
  }

  /** The error of a place. */
  wrong(at: Position, sentence: string, cause?: unknown): UruncError {
    return wrongAt(this.#name, at, sentence, cause);
  }

  /** The document's own mapping. */
  root(known: readonly string[]): Map<string, Field> {
    const { contents } = this.#document;
    if (contents === null) throw this.wrong({ line: 1, column: 1 }, "the file is empty");
    return this.mapping({ key: { value: "the file", at: this.at(contents) }, node: contents }, known);
  }

  at(node: Node): Position {
    return this.#position(node.range?.[0] ?? 0);
  }

  #position(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { line, column: col };
  }

  /** @param known the keys that it may have; undefined: any */
  mapping(field: Field, known: readonly string[] | undefined): Map<string, Field> {
    const node = this.#resolved(field);
    if (!isMap(node)) throw this.#wrongKind(field, node, "a mapping of keys to values");
    const fields = new Map<string, Field>();
    for (const pair of node.items) {
      const key = pair.key as Node;
      const at = this.at(key);
      if (!isScalar(key) || typeof key.value !== "string") throw this.wrong(at, "a key is a word");
      if (known !== undefined && !known.includes(key.value)) throw this.#unknown(at, key.value, known);
      fields.set(key.value, { key: { value: key.value, at }, node: pair.value as Node | null });
    }
    return fields;
  }

  #unknown(at: Position, key: string, known: readonly string[]): UruncError {
    const meant = nearest(key, known);
    const hint = meant === undefined ? `known are ${known.join(", ")}` : `is ${meant} meant?`;
    return this.wrong(at, `the key ${JSON.stringify(key)} is not known: ${hint}`);
  }

  list(field: Field): Field[] {
    const node = this.#resolved(field);
    if (!isSeq(node)) throw this.#wrongKind(field, node, 'a list, as ["one", "two"]');
    return node.items.map((item) => {
      const element = item as Node | null;
      const at = element === null ? field.key.at : this.at(element);
      return { key: { value: `an entry of ${field.key.value}`, at }, node: element };
    });
  }

  isMapping(field: Field): boolean {
    return isMap(this.#resolved(field));
  }

  isList(field: Field): boolean {
    return isSeq(this.#resolved(field));
  }

  /**
   * A scalar as it is written, so that `6.10` is not 6.1.
   *
   * @param field its string may be empty
   */
  text(field: Field): Located<string> {
    const node = this.#resolved(field);
    if (!isScalar(node) || node.value === null) throw this.#wrongKind(field, node, "a string");
    const value = typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
    const at = this.at(field.node as Node);
    if (value.includes("\0")) throw this.wrong(at, `${field.key.value} has a NUL character`);
    return { value, at };
  }

  /** A string with something in it. */
  word(field: Field): Located<string> {
    const text = this.text(field);
    if (text.value === "") throw this.wrong(text.at, `${field.key.value} is empty`);
    return text;
  }

  oneOf<W extends string>(field: Field, known: readonly W[]): Located<W> {
    const { value, at } = this.word(field);
    const found = known.find((one) => one === value);
    if (found !== undefined) return { value: found, at };
    const meant = nearest(value, known);
    const hint = meant === undefined ? "" : `; is ${meant} meant?`;
    throw this.wrong(
      at,
      `${field.key.value} is one of ${known.join(", ")}, not ${JSON.stringify(value)}${hint}`,
    );
  }

  boolean(field: Field): boolean {
    const node = this.#resolved(field);
    if (isScalar(node) && typeof node.value === "boolean") return node.value;
    throw this.#wrongKind(field, node, "true or false");
  }

  texts(field: Field): Located<string>[] {
    return this.list(field).map((entry) => this.text(entry));
  }

  #resolved({ node }: Field): Node | null {
    if (!isAlias(node)) return node;
    const resolved = node.resolve(this.#document);
    if (resolved === undefined) {
      throw this.wrong(
        this.at(node),
        `*${node.source} stands for nothing: no value before it is marked &${node.source}`,
      );
    }
    return resolved;
  }

  #wrongKind(field: Field, node: Node | null, wanted: string): UruncError {
    const { value, at } = field.key;
    if (node === null || (isScalar(node) && node.value === null)) {
      return this.wrong(at, `${value} has no value and must be ${wanted}`);
    }
    const kind = isMap(node) ? "a mapping" : isSeq(node) ? "a list" : "a single value";
    return this.wrong(this.at(field.node as Node), `${value} is ${kind} and must be ${wanted}`);
  }
}
