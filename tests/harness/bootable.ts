import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { succeed } from "./command.ts";
import type { Docker } from "./docker.ts";

/** An image as tools lay it out that know machines: its kernel, maybe its root, and what `/urunc.json` says of them. */
export interface Bootable {
  readonly name: string;
  /** Default an empty image. */
  readonly base?: string;
  /** Host paths by the place in the image. */
  readonly files: Readonly<Record<string, string>>;
  /** Without their prefix. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  /** As they stand in `/urunc.json`, instead of base64. */
  readonly plain?: boolean;
}

/** Makes it with `docker build` in a directory below `parent`. */
export async function buildBootable(docker: Docker, parent: string, image: Bootable): Promise<void> {
  const context = join(parent, image.name);
  mkdirSync(context, { recursive: true });
  const lines = [`FROM ${image.base ?? "scratch"}`];
  for (const [place, source] of Object.entries(image.files)) {
    mkdirSync(dirname(join(context, place)), { recursive: true });
    copyFileSync(source, join(context, place));
    lines.push(`COPY .${place} ${place}`);
  }
  const written = Object.entries(image.annotations).map(([key, value]) => [
    `com.urunc.unikernel.${key}`,
    image.plain ? value : Buffer.from(value).toString("base64"),
  ]);
  writeFileSync(join(context, "urunc.json"), JSON.stringify(Object.fromEntries(written)), { mode: 0o644 });
  lines.push("COPY ./urunc.json /urunc.json");
  for (const [key, value] of Object.entries(image.annotations)) {
    lines.push(`LABEL "com.urunc.unikernel.${key}"=${JSON.stringify(value)}`);
  }
  lines.push(`CMD ${JSON.stringify(image.command)}`);
  writeFileSync(join(context, "Dockerfile"), `${lines.join("\n")}\n`);
  await docker.succeed(["build", "--quiet", "--tag", image.name, context]);
}

/** Unpacks an image of this Docker into a directory, as `docker export` gives it. */
export async function exportImage(docker: Docker, reference: string, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const id = await docker.succeed(["create", reference, "x"]);
  try {
    await docker.succeed(["export", "--output", `${directory}.tar`, id]);
    await succeed(["tar", "-xf", `${directory}.tar`, "-C", directory]);
  } finally {
    await docker.run(["rm", id]);
  }
}
