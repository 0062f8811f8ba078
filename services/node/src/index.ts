/** The node daemon as a library, for tests that run one in their own process. */
export { NodeApp, type Overrides } from "./app.ts";
export { type NodeConfig, parseConfig, readEnv } from "./config.ts";
