import manifest from "../package.json" with { type: "json" };

/** Version of the daemon. */
export const VERSION = manifest.version;
