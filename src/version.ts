import manifest from "../package.json" with { type: "json" };

/** The product's version, from `package.json`. */
export const VERSION: string = manifest.version;

/** The version of the OCI runtime specification that is followed. */
export const RUNTIME_SPEC_VERSION = "1.0.2";
