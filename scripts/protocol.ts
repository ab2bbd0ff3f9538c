import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fail, say } from "./terminal.ts";

/** Of the generator, whose code wants a runtime (`@bufbuild/protobuf`) that is not older. */
const GENERATOR = "@bufbuild/protoc-gen-es@2.17.0";
const COMPILER = "@bufbuild/buf@1.75.0";

/** Where protocols are: BuildKit's, and the one between a kubelet and containerd, for the tests. */
const DIRECTORIES = ["../src/frontend/protocol", "../tests/harness/cri"];

/**
 * Writes `NAME_pb.ts` beside each `NAME.proto` there. By hand, after a change of one: what it makes
 * is kept in the repository, and the tools, which npm fetches for the occasion, are not needed for anything else.
 */
for (const place of DIRECTORIES) generate(join(import.meta.dir, place));
say("the protocols' code: written");

function generate(directory: string): void {
  const template = mkdtempSync(join(tmpdir(), "urunc-protocol-"));
  try {
    const plugin = { local: "protoc-gen-es", out: directory, opt: ["target=ts", "import_extension=ts"] };
    writeFileSync(join(template, "buf.gen.yaml"), JSON.stringify({ version: "v2", plugins: [plugin] }));
    const child = Bun.spawnSync(
      [
        ...["npx", "--yes", "--package", GENERATOR, "--package", COMPILER],
        ...["buf", "generate", "--template", join(template, "buf.gen.yaml"), directory],
      ],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    if (child.exitCode !== 0) fail(`the code of ${directory} cannot be generated`);
  } finally {
    rmSync(template, { recursive: true, force: true });
  }
}
