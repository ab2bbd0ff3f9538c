/**
 * The values of a TOML document by their keys, with dots between the names of tables. A table without anything in it is a
 * value too.
 */
export function* flatten(table: object, prefix = ""): Generator<[key: string, value: unknown]> {
  for (const [name, value] of Object.entries(table)) {
    const key = `${prefix}${/^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name)}`;
    if (isTable(value) && Object.keys(value).length > 0) yield* flatten(value, `${key}.`);
    else yield [key, value];
  }
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
