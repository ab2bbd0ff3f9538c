import { setDefaultTimeout } from "bun:test";
import { testWays } from "../harness/way-cells.ts";

/** The matrix of ways of a root, monitors and protocols: what is with the agent. The rest is in `ways-direct.test.ts`. */

// Ten thousand files are made and removed on each, which takes its time where they are shared.
setDefaultTimeout(400_000);
testWays("agent");
