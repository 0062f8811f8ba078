import { runService } from "@paddock/lifecycle";
import { createLogger } from "@paddock/telemetry";
import { startApp } from "./app.ts";
import { API_SETTINGS, parseConfig, readEnv } from "./config.ts";

await runService({
  name: "the api",
  settings: API_SETTINGS,
  configure: (env) => parseConfig(readEnv(env)),
  openLog: ({ logLevel }) => createLogger({ name: "api", level: logLevel }),
  start: async (config, log) => {
    const { grpcAddress, httpAddress, stop } = await startApp(config, { log });
    return { ready: { grpcAddress, httpAddress }, stop };
  },
});
