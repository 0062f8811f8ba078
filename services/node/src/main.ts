import { closeSync, writeSync } from "node:fs";
import { createLogger } from "@paddock/telemetry";
import { NodeApp } from "./app.ts";
import { type NodeConfig, parseConfig, readEnv } from "./config.ts";
import { UnfitHost } from "./host/state-place.ts";

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
const log = createLogger({ name: "paddock-node", level: config.logLevel });
const stop = new AbortController();
const stopped = Promise.withResolvers<void>();
stop.signal.addEventListener("abort", () => stopped.resolve());
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());

try {
  const app = await NodeApp.start(config, log, { signal: stop.signal });
  const { streamAddress, daemonInstanceId, context } = app;
  log.info({ nodeId: context.nodeId, streamAddress }, "serving");
  if (config.readyFd !== undefined) {
    writeSync(
      config.readyFd,
      `${JSON.stringify({ nodeId: context.nodeId, streamAddress, daemonInstanceId })}\n`,
    );
    closeSync(config.readyFd);
  }
  await stopped.promise;
  log.info("going down; VMs stay");
  await app[Symbol.asyncDispose]();
  process.exit(0);
} catch (error) {
  if (stop.signal.aborted) process.exit(0);
  log.fatal({ err: error }, "the node daemon cannot go on");
  process.exit(error instanceof UnfitHost ? EX_CONFIG : 1);
}
