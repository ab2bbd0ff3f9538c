/** `fetch-text.ts URL`: prints what a GET gives. A program of its own, as it runs in another network namespace. */
const url = process.argv[2] ?? "";
const response = await fetch(url, { signal: AbortSignal.timeout(20_000) });
process.stdout.write(await response.text());
process.exit(response.ok ? 0 : 1);
