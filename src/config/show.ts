/** A value of the effective configuration. */
export interface ShownValue {
  /** With dots between the names of tables. */
  readonly key: string;
  /** Undefined: there is none. */
  readonly value: string | number | boolean | undefined;
  /** Where it comes from. */
  readonly origin: string;
}

/** The effective configuration as TOML, each value with where it comes from; what has no value is a comment. */
export function showConfig(title: string, values: readonly ShownValue[]): string {
  const tables = Map.groupBy(values, ({ key }) => key.slice(0, key.lastIndexOf(".")));
  const texts = new Map(values.map(({ key, value }) => [key, assignment(key, value)]));
  const width = Math.max(...[...texts.values()].map(({ length }) => length));
  const parts = [...tables].map(([table, members]) => [
    "",
    `[${table}]`,
    ...members.map(({ key, origin }) => `${texts.get(key)?.padEnd(width)} # ${oneLine(origin)}`),
  ]);
  return `${[`# ${oneLine(title)}`, ...parts.flat()].join("\n")}\n`;
}

function assignment(key: string, value: ShownValue["value"]): string {
  const name = key.slice(key.lastIndexOf(".") + 1);
  // JSON's strings, numbers and truth values are TOML's.
  return value === undefined ? `# ${name}` : `${name} = ${JSON.stringify(value)}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, " ");
}
