import { makeDist } from "./make-dist.ts";
import { installDebianPackages } from "./setup.ts";

await installDebianPackages(["build"]);
await makeDist();
