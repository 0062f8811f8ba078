import { closeSync, writeSync } from "node:fs";
import { createLogger, parseLogLevel } from "@paddock/telemetry";
import { NodeApp } from "./app.ts";
import { type NodeConfig, parseConfig, readEnv } from "./config.ts";

/** sysexits.h: what the operator has to put right. */
const EX_CONFIG = 78;

function configure(): NodeConfig {
  try {
    return parseConfig(readEnv(process.env));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(EX_CONFIG);
  }
}

const config = configure();
const log = createLogger({ name: "paddock-node", level: parseLogLevel(config.logLevel) ?? "info" });
const stopping = Promise.withResolvers<void>();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stopping.resolve());

try {
  const app = await NodeApp.start(config, log);
  const { nodeId } = app.context;
  log.info({ nodeId, streamAddress: app.streamAddress }, "serving");
  if (config.readyFd !== undefined) {
    const { streamAddress, daemonInstanceId } = app;
    writeSync(config.readyFd, `${JSON.stringify({ nodeId, streamAddress, daemonInstanceId })}\n`);
    closeSync(config.readyFd);
  }
  await stopping.promise;
  log.info("going down; VMs stay");
  await app[Symbol.asyncDispose]();
  process.exit(0);
} catch (error) {
  log.fatal({ err: error }, "the node daemon cannot go on");
  process.exit(1);
}
