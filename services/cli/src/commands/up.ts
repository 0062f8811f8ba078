import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join, resolve } from "node:path";
import { isAlive } from "@paddock/qemu";
import { AbortRace } from "@paddock/rpc";
import { type Command, Option } from "commander";
import { CliError, usageError } from "../cli-error.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { MAIN } from "../installation.ts";
import { lockFleet } from "../local-fleet/fleet-lock.ts";
import { type FleetPorts, fleetPaths, readFleetRecord } from "../local-fleet/fleet-record.ts";
import { type FleetSettings, nodeBinary } from "../local-fleet/fleet-settings.ts";
import { withCallersDirectory } from "../local-fleet/host-directories.ts";
import { type FleetEvents, LocalFleet, type Report } from "../local-fleet/local-fleet.ts";
import { logLine } from "../local-fleet/log-line.ts";
import { isFleetUp, stopFleet } from "../local-fleet/stop-fleet.ts";
import { CHANNEL_FD, channelReport, followStart, sendFailed, sendReady } from "../local-fleet/up-channel.ts";
import { formatSpan } from "../output/quantities.ts";
import { stateDirOf } from "../settings.ts";

type UpOptions = {
  readonly detach?: boolean;
  readonly inBackground?: boolean;
  readonly stateDir?: string;
  readonly apiPort: number;
  readonly httpPort: number;
  readonly busPort: number;
  readonly streamPort: number;
};

export const upCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "up",
    "make this host a fleet of one: start a NATS server, the api and the node daemon",
    ["up", "up --detach", "up -d --state-dir /srv/paddock --api-port 0"],
  )
    .option("-d, --detach", "continue in the background when all is ready")
    .option("--state-dir <dir>", "state directory (PADDOCK_STATE_DIR; /var/lib/paddock)")
    .option("--api-port <port>", "port of the api for gRPC; 0 takes a free one", parsePort, 7070)
    .option(
      "--http-port <port>",
      "port of the api for Connect, gRPC-Web and metrics; 0 takes a free one",
      parsePort,
      7080,
    )
    .option("--stream-port <port>", "port of the node daemon; 0 takes a free one", parsePort, 7071)
    .option("--bus-port <port>", "port of the NATS server; 0 takes a free one", parsePort, 4222)
    .addOption(new Option("--in-background").hideHelp());
  return bind(command, upBody);
};

async function upBody(run: CommandRun, command: Command): Promise<void> {
  const options = command.opts<UpOptions>();
  const { busPort: bus, apiPort: api, httpPort: http, streamPort: stream } = options;
  const stateDir = resolve(options.stateDir ?? stateDirOf(run.around.env));
  if (process.getuid?.() !== 0) {
    throw new CliError("only root can give each VM its own user and control group", {
      hint: "use sudo",
    });
  }
  // The process in the background has another working directory, and gets the caller's as a setting.
  const env = options.inBackground ? run.around.env : withCallersDirectory(run.around.env);
  const settings: FleetSettings = { stateDir, ports: { bus, api, http, stream }, env };
  const record = readFleetRecord(stateDir);
  if (record && isAlive(record.supervisor)) return alreadyUp(run, record.apiAddress, stateDir);
  if (options.inBackground) return inBackground(run, settings);
  const began = performance.now();
  if (options.detach) {
    await startInBackground(run, settings);
    return readyText(run, stateDir, began);
  }
  await inFront(run, settings, began);
}

function alreadyUp(run: CommandRun, address: string, stateDir: string): void {
  if (run.isJson) run.printJson(readFleetRecord(stateDir));
  run.progress.note(`already running, with its api on ${address} (state in ${stateDir})`);
}

/** Locks the state directory, and stops the remaining parts of a fleet whose supervisor was killed. */
async function takeOver(run: CommandRun, stateDir: string): Promise<Disposable> {
  const unlock = lockFleet(stateDir);
  const record = readFleetRecord(stateDir);
  if (record && isFleetUp(record)) {
    run.around.stderr.write("some parts were running without their supervisor; restarting them\n");
    await stopFleet(stateDir, record);
  }
  return { [Symbol.dispose]: unlock };
}

async function inFront(run: CommandRun, settings: FleetSettings, began: number): Promise<void> {
  const { stderr } = run.around;
  let isReady = false;
  using _lock = await takeOver(run, settings.stateDir);
  const fleet = new LocalFleet(settings, {
    report: progressReport(run),
    onNote: (note) => run.warn(note),
    onOutput: (part, line) =>
      isReady && !run.settings.quiet && stderr.write(`${logLine(part, line, run.colors)}\n`),
  });
  using _lastWords = run.beforeExit(() => fleet.kill());
  await fleet.start(run.signal);
  readyText(run, settings.stateDir, began);
  isReady = true;
  await stopSignal(run);
  isReady = false;
  await run.progress.phase(
    "stopping the node daemon, the api and the bus",
    () => fleet.stop(),
    () => "stopped",
  );
  run.warn('running VMs keep running; the next "paddock up" takes them over');
}

/** Resolves at the first signal. The next one ends the process. */
function stopSignal(run: CommandRun): Promise<void> {
  return new Promise((resolve) => {
    run.onSignal = () => resolve();
  });
}

/** The process that "up --detach" starts. It supervises the parts, and stops them on a signal. */
async function inBackground(run: CommandRun, settings: FleetSettings): Promise<void> {
  const events: FleetEvents = {
    report: channelReport,
    onNote: (note) => run.around.stderr.write(`${new Date().toISOString()} ${note}\n`),
  };
  try {
    using _lock = await takeOver(run, settings.stateDir);
    const fleet = new LocalFleet(settings, events);
    using _lastWords = run.beforeExit(() => fleet.kill());
    await fleet.start(run.signal);
    sendReady();
    closeSync(CHANNEL_FD);
    await stopSignal(run);
    await fleet.stop();
  } catch (error) {
    sendFailed(error);
    throw error;
  }
}

async function startInBackground(run: CommandRun, settings: FleetSettings): Promise<void> {
  const { logs } = fleetPaths(settings.stateDir);
  mkdirSync(settings.stateDir, { recursive: true, mode: 0o711 });
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const logPath = join(logs, "supervisor.log");
  const log = openSync(logPath, "w", 0o600);
  const { ports, stateDir } = settings;
  const args = [MAIN, "up", "--in-background", "--state-dir", stateDir];
  const child = spawn(nodeBinary(), [...args, ...portArguments(ports)], {
    stdio: ["ignore", log, log, "pipe"],
    env: settings.env,
    detached: true,
    cwd: "/",
  });
  closeSync(log);
  const channel = child.stdio[CHANNEL_FD];
  if (!channel || !("read" in channel)) throw new CliError("cannot start a process in the background");
  run.onSignal = (name) => {
    child.kill("SIGTERM");
    run.interrupt(name);
  };
  await new AbortRace(run.signal).run(followStart(channel, progressReport(run)));
  channel.destroy();
  child.unref();
}

const progressReport =
  (run: CommandRun): Report =>
  (label, work, done) =>
    run.progress.phase(label, work, done);

function readyText(run: CommandRun, stateDir: string, began: number): void {
  if (run.isJson) run.printJson(readFleetRecord(stateDir));
  run.progress.note(run.colors.bold(`up after ${formatSpan(performance.now() - began)}`));
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw usageError(`"${text}" is not a port`);
}

const portArguments = (ports: FleetPorts): string[] => [
  ...["--bus-port", String(ports.bus), "--api-port", String(ports.api)],
  ...["--http-port", String(ports.http), "--stream-port", String(ports.stream)],
];
