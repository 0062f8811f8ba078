import { runService } from "@paddock/lifecycle";
import { createLogger } from "@paddock/telemetry";
import { startNode } from "./app.ts";
import { NODE_SETTINGS, parseConfig, readEnv } from "./config.ts";

await runService({
  name: "the node daemon",
  settings: NODE_SETTINGS,
  configure: (env) => parseConfig(readEnv(env)),
  openLog: ({ logLevel }) => createLogger({ name: "paddock-node", level: logLevel }),
  start: async (config, log, signal) => {
    const { nodeId, streamAddress, daemonInstanceId, ...app } = await startNode(config, log, signal);
    return {
      ready: { nodeId, streamAddress, daemonInstanceId },
      stop: async () => await app[Symbol.asyncDispose](),
    };
  },
});
