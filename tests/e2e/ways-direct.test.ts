import { setDefaultTimeout } from "bun:test";
import { testWays } from "../harness/way-cells.ts";

/** The matrix of ways of a root, monitors and protocols: what is without the agent. */

// Ten thousand files are made and removed on each, which takes its time where they are shared.
setDefaultTimeout(400_000);
testWays("direct");
