import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { succeed } from "./command.ts";

/** An image as the existing builder lays it out: a layer for each of its parts above those of its base. */
export interface LaidOut {
  /** A docker-archive of one layer; default nothing. */
  readonly base?: string;
  /** Host paths by the place in the image. */
  readonly files: Readonly<Record<string, string>>;
  /** Without their prefix: they become labels. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Whether they are in `/urunc.json` too, in base64; default yes. */
  readonly file?: boolean;
  readonly command?: readonly string[];
  /** What it is called once it is loaded; default nothing. */
  readonly reference?: string;
  /** What else the configuration says of the process. */
  readonly process?: Readonly<Record<string, unknown>>;
}

/** Makes it as a docker-archive below a directory; gives the archive's path. */
export async function layOut(parent: string, image: LaidOut): Promise<string> {
  const directory = mkdtempSync(join(parent, "laid-out-"));
  const parts = { ...image.files };
  const named = Object.entries(image.annotations ?? {}).map(([key, value]) => [
    `com.urunc.unikernel.${key}`,
    value,
  ]);
  if (image.file !== false && named.length > 0) {
    const encoded = named.map(([key = "", value = ""]) => [key, Buffer.from(value).toString("base64")]);
    writeFileSync(join(directory, "urunc.json"), JSON.stringify(Object.fromEntries(encoded)), {
      mode: 0o644,
    });
    parts["/urunc.json"] = join(directory, "urunc.json");
  }
  const layers: string[] = [];
  const contents = join(directory, "archive");
  mkdirSync(contents);
  if (image.base !== undefined) {
    const [manifest] = JSON.parse(await succeed(["tar", "-xOf", image.base, "manifest.json"])) as {
      Layers: [string];
    }[];
    await succeed(["tar", "-xf", image.base, "-C", contents, manifest?.Layers[0] ?? ""]);
    layers.push(manifest?.Layers[0] ?? "");
  }
  for (const [place, source] of Object.entries(parts)) {
    const tree = mkdtempSync(join(directory, "tree-"));
    mkdirSync(dirname(join(tree, place)), { recursive: true });
    cpSync(source, join(tree, place));
    const layer = `${layers.length}.tar`;
    await succeed(["tar", "-cf", join(contents, layer), "--owner=0", "--group=0", "-C", tree, `.${place}`]);
    rmSync(tree, { recursive: true });
    layers.push(layer);
  }
  const config = {
    architecture: "amd64",
    os: "linux",
    config: { ...image.process, Cmd: image.command, Labels: Object.fromEntries(named) },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => digestOf(join(contents, layer))) },
  };
  writeFileSync(join(contents, "config.json"), JSON.stringify(config));
  writeFileSync(
    join(contents, "manifest.json"),
    JSON.stringify([
      { Config: "config.json", RepoTags: image.reference ? [image.reference] : null, Layers: layers },
    ]),
  );
  const archive = `${directory}.tar`;
  await succeed(["tar", "-cf", archive, "-C", contents, "manifest.json", "config.json", ...layers]);
  rmSync(directory, { recursive: true });
  return archive;
}

function digestOf(path: string): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex")}`;
}
