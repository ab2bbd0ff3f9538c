/** Build arguments that each RUN has in its environment, without ARG, and that its result does not depend on. */
export const PROXY_NAME = /^(?:https?|ftp|no|all)_proxy$/i;

/** The environment that build arguments for proxies make: in both cases, as programs look for either. */
export function proxyEnvironment(buildArgs: ReadonlyMap<string, string>): Map<string, string> {
  const environment = new Map<string, string>();
  for (const [name, value] of buildArgs) {
    if (!PROXY_NAME.test(name) || value === "") continue;
    environment.set(name.toUpperCase(), value);
    environment.set(name.toLowerCase(), value);
  }
  return environment;
}
