/** The process: settings in, signals, exit code out. */
import { closeSync, writeSync } from "node:fs";
import { startApp } from "./app.ts";
import { ConfigError, parseConfig, readEnv } from "./config.ts";

/** sysexits.h: the configuration is wrong. */
const EX_CONFIG = 78;

try {
  const config = parseConfig(readEnv(process.env));
  const app = await startApp(config);
  app.log.info({ grpcAddress: app.grpcAddress, httpAddress: app.httpAddress }, "listening");
  if (config.readyFd !== undefined) {
    const { grpcAddress, httpAddress } = app;
    writeSync(config.readyFd, `${JSON.stringify({ grpcAddress, httpAddress })}\n`);
    closeSync(config.readyFd);
  }
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) return;
    stopping = true;
    app.log.info({ signal }, "going down");
    app.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        app.log.error({ err: error }, "the shutdown failed");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
} catch (error) {
  console.error(
    error instanceof Error ? (error instanceof ConfigError ? error.message : error.stack) : error,
  );
  process.exit(error instanceof ConfigError ? EX_CONFIG : 1);
}
