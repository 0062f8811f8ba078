import { runService } from "@paddock/lifecycle";
import { createLogger } from "@paddock/telemetry";
import { NodeApp } from "./app.ts";
import { NODE_SETTINGS, parseConfig, readEnv } from "./config.ts";

await runService({
  name: "the node daemon",
  settings: NODE_SETTINGS,
  configure: (env) => parseConfig(readEnv(env)),
  openLog: ({ logLevel }) => createLogger({ name: "paddock-node", level: logLevel }),
  start: async (config, log, signal) => {
    const app = await NodeApp.start(config, log, { signal });
    const { streamAddress, daemonInstanceId, context } = app;
    return {
      ready: { nodeId: context.nodeId, streamAddress, daemonInstanceId },
      stop: () => app[Symbol.asyncDispose](),
    };
  },
});
