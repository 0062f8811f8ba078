/**
 * The process of a service: it reads its settings, starts, says that it is ready, and stops on SIGTERM or SIGINT.
 *
 *   settings ──> start ──> ready ──signal──> stop ──> exit 0
 *      └ refused: 78  └ failed: 1, or 78 when the operator has to correct something
 */
import { closeSync, writeSync } from "node:fs";
import { OperatorError } from "./operator-error.ts";
import { integer } from "./setting-forms.ts";
import { type Setting, type Settings, settingsHelp } from "./settings.ts";

/** sysexits.h: the configuration is wrong. */
const EX_CONFIG = 78;

/** Settings of every service's process. */
export const PROCESS_SETTINGS = {
  PADDOCK_READY_FD: {
    ...integer(3, 9999),
    doc: "open descriptor on which a line of JSON says that the service is ready",
  },
} satisfies Settings;

/** A running service. */
export type RunningService = {
  /** Where the service listens, and other facts for the process that started it. */
  readonly ready: Readonly<Record<string, string>>;
  /** Shuts down in order. */
  stop(): Promise<void>;
};

type ServiceConfig = { readonly readyFd: number | undefined };

export type ServiceProgram<Config extends ServiceConfig, Log extends ServiceLog> = {
  /** Its name, for messages. */
  readonly name: string;
  readonly settings: Readonly<Record<string, Setting<unknown>>>;
  /** Throws `ConfigError`. */
  readonly configure: (env: NodeJS.ProcessEnv) => Config;
  readonly openLog: (config: Config) => Log;
  /** Starts the service, or throws the signal's reason when it aborts first. */
  readonly start: (config: Config, log: Log, signal: AbortSignal) => Promise<RunningService>;
};

export type ServiceLog = {
  info(fields: object, text: string): void;
  fatal(fields: object, text: string): void;
};

/** Runs the service until a signal ends it, and exits. */
export async function runService<Config extends ServiceConfig, Log extends ServiceLog>(
  program: ServiceProgram<Config, Log>,
): Promise<never> {
  if (process.argv.includes("--help")) {
    process.stdout.write(settingsHelp(program.name, program.settings));
    process.exit(0);
  }
  const config = configured(program.configure);
  const log = program.openLog(config);
  const stopping = new AbortController();
  const stopped = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => {
      stopped.resolve(signal);
      stopping.abort();
    });
  try {
    const service = await program.start(config, log, stopping.signal);
    log.info(service.ready, "serving");
    if (config.readyFd !== undefined) tellReady(config.readyFd, service.ready);
    log.info({ signal: await stopped.promise }, "stopping");
    await service.stop();
    process.exit(0);
  } catch (error) {
    if (error === stopping.signal.reason) process.exit(0);
    log.fatal(
      { err: error },
      stopping.signal.aborted ? "the shutdown failed" : `${program.name} cannot start`,
    );
    process.exit(error instanceof OperatorError ? EX_CONFIG : 1);
  }
}

function configured<Config>(configure: (env: NodeJS.ProcessEnv) => Config): Config {
  try {
    return configure(process.env);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    console.error(error.message);
    process.exit(EX_CONFIG);
  }
}

function tellReady(descriptor: number, ready: RunningService["ready"]): void {
  writeSync(descriptor, `${JSON.stringify(ready)}\n`);
  closeSync(descriptor);
}
