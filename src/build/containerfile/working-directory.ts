import { wrongAt } from "../../bunnyfile/position.ts";
import type { WorkdirStep } from "../../containerfile/plan.ts";
import { UruncError } from "../../errors.ts";
import { accountsOf } from "../../image/accounts.ts";
import { makeDirectory } from "../../image/layers/lookup.ts";
import { bytesOf, plainDirectory } from "../../image/layers/tree.ts";
import type { TreeEntry } from "../entry.ts";
import { addedTo, inodesOf } from "../placement.ts";
import { ownerOf } from "./owner.ts";
import type { StageFiles } from "./stage-files.ts";

/**
 * Makes the directory of WORKDIR, and those above it, where they are missing: the user's, as BuildKit has it.
 *
 * @param name of the build file, for sentences
 * @returns the layer; the stage's tree is changed already
 * @throws UruncError `build-file` where a file is in the way, or the user is not there
 */
export async function makeWorkingDirectory(
  files: StageFiles,
  { path, user, at }: WorkdirStep,
  name: string,
): Promise<TreeEntry[]> {
  const root = await files.tree();
  const before = inodesOf(root);
  try {
    const owner = user === "" ? {} : ownerOf(user, accountsOf(root, files.contents));
    const words = bytesOf(path).split("/").slice(1);
    makeDirectory(root, words, bytesOf(path), () => ({ ...plainDirectory(), ...owner }));
  } catch (error) {
    const isOurs = error instanceof UruncError && ["usage", "layer-invalid"].includes(error.code);
    if (!isOurs) throw error;
    throw wrongAt(
      name,
      at,
      error.message.replace(/^the layer has/, `WORKDIR ${path} is not possible: there is`),
      error,
    );
  }
  return addedTo(root, before);
}
