/**
 * This host as a fleet of one: a NATS server, an api and a node daemon, started in this order and stopped in reverse.
 *
 *   bus ──> api ─┐
 *      └──> node ┴──> ready ──> (a part that ends is restarted, after a pause that grows)
 *
 * VMs are not children of these processes. They keep running when the processes end, and the next node daemon takes them over.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { identify, type ProcessIdentity } from "@paddock/qemu";
import { AbortRace } from "@paddock/rpc";
import { CliError } from "../cli-error.ts";
import {
  type FleetPorts,
  type FleetRecord,
  fleetPaths,
  type PartName,
  removeFleetFiles,
  writeFleetRecord,
} from "./fleet-record.ts";
import {
  apiEnv,
  busUrl,
  type FleetSettings,
  newBusAccess,
  nodeBinary,
  nodeEnv,
  serviceEntry,
  writeBusConfig,
  writeStreamSecret,
} from "./fleet-settings.ts";
import { keepPart } from "./keep-part.ts";
import { type PartSpec, RunningPart } from "./running-part.ts";

const BUS_READY_MS = 15_000;
const API_READY_MS = 60_000;
/** The first start boots a small guest to test the accelerator, by emulation if necessary. */
const NODE_READY_MS = 180_000;
const STOP_GRACE_MS = 20_000;
const POLL_MS = 20;

/** Runs a phase of the start and reports it. */
export type Report = <T>(label: string, work: () => Promise<T>, done: (value: T) => string) => Promise<T>;

export type FleetEvents = {
  readonly report: Report;
  readonly onOutput?: ((name: PartName, line: string) => void) | undefined;
  /** Called when a part ended by itself, with the action taken. */
  readonly onNote: (note: string) => void;
};

type Ready = { readonly apiAddress: string; readonly httpAddress: string; readonly nodeId: string };

export class LocalFleet {
  readonly #settings: FleetSettings;
  readonly #events: FleetEvents;
  readonly #parts = new Map<PartName, RunningPart>();
  #isStopping = false;
  #record: FleetRecord | undefined;

  /** Creates a fleet without starting it. */
  constructor(settings: FleetSettings, events: FleetEvents) {
    mkdirSync(settings.stateDir, { recursive: true, mode: 0o711 });
    this.#settings = settings;
    this.#events = events;
  }

  /**
   * Starts all parts. If one fails, or `signal` aborts first, stops the others and throws the part's `CliError` or the signal's
   * reason.
   */
  async start(signal: AbortSignal): Promise<void> {
    try {
      await new AbortRace(signal).run(this.#start());
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  get record(): FleetRecord {
    if (!this.#record) throw new Error("the fleet is not up");
    return this.#record;
  }

  /** Stops the parts in order. VMs keep running. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const name of ["node", "api", "bus"] as const) await this.#parts.get(name)?.stop(STOP_GRACE_MS);
    removeFleetFiles(this.#settings.stateDir);
  }

  /** Kills the parts without waiting. VMs keep running. */
  kill(): void {
    this.#isStopping = true;
    for (const part of this.#parts.values()) part.kill();
  }

  async #start(): Promise<void> {
    const { report } = this.#events;
    const access = newBusAccess();
    writeBusConfig(this.#settings, access);
    writeStreamSecret(this.#settings);
    const busPort = await report(
      "starting the bus",
      () => this.#startBus(),
      (port) => `bus on 127.0.0.1:${port}`,
    );
    // Both start in parallel and are reported one after the other.
    const settings = withPorts(this.#settings, { bus: busPort });
    // A restarted bus must have the same port.
    writeBusConfig(settings, access);
    const natsUrl = busUrl(access, busPort);
    const api = this.#startApi(settings, natsUrl);
    const node = this.#startNode(settings, natsUrl);
    for (const each of [api, node]) each.catch(() => {});
    const { grpcAddress, httpAddress } = await report(
      "starting the api",
      () => api,
      (ready) => `api on ${ready.grpcAddress} (gRPC) and ${ready.httpAddress} (Connect, gRPC-Web, metrics)`,
    );
    const { nodeId, streamAddress } = await report(
      "starting the node daemon",
      () => node,
      (ready) => `node ${ready.nodeId}`,
    );
    const ports = { api: portOf(grpcAddress), http: portOf(httpAddress), stream: portOf(streamAddress) };
    this.#writeRecord(withPorts(settings, ports), { apiAddress: grpcAddress, httpAddress, nodeId });
    for (const name of this.#parts.keys()) void this.#keepAlive(name, withPorts(settings, ports), natsUrl);
  }

  async #startBus(): Promise<number> {
    const { stateDir } = this.#settings;
    const paths = fleetPaths(stateDir);
    const part = this.#launch({
      name: "bus",
      title: "NATS server",
      command: "nats-server",
      args: ["--config", paths.busConfig],
      env: { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/usr/local/sbin` },
    });
    return part.orFail(busPortOf(join(paths.busStore, `nats-server_${part.pid}.ports`), part), BUS_READY_MS);
  }

  async #startApi(settings: FleetSettings, natsUrl: string) {
    const part = this.#launchService("api", "api", apiEnv(settings, natsUrl));
    const ready = await part.readyLine(API_READY_MS);
    return { grpcAddress: text(ready.grpcAddress), httpAddress: text(ready.httpAddress) };
  }

  async #startNode(settings: FleetSettings, natsUrl: string) {
    const part = this.#launchService("node", "node daemon", nodeEnv(settings, natsUrl));
    const ready = await part.readyLine(NODE_READY_MS);
    return { nodeId: text(ready.nodeId), streamAddress: text(ready.streamAddress) };
  }

  #launchService(name: "api" | "node", title: string, env: NodeJS.ProcessEnv): RunningPart {
    return this.#launch({ name, title, command: nodeBinary(), args: [serviceEntry(name)], env });
  }

  #launch(spec: Omit<PartSpec, "logPath" | "onOutput">): RunningPart {
    if (this.#isStopping) throw new CliError(`the ${spec.title} is not started: the fleet is stopping`);
    const logPath = join(fleetPaths(this.#settings.stateDir).logs, `${spec.name}.log`);
    const part = new RunningPart({ ...spec, logPath, onOutput: this.#events.onOutput });
    this.#parts.set(spec.name, part);
    return part;
  }

  #writeRecord(settings: FleetSettings, ready: Ready): void {
    const supervisor = identify(process.pid);
    if (!supervisor) throw new CliError("cannot read /proc: this works on Linux only");
    const parts: { name: PartName; identity: ProcessIdentity }[] = [];
    for (const [name, { identity }] of this.#parts) if (identity) parts.push({ name, identity });
    this.#record = { version: 1, ...ready, supervisor, parts, ports: settings.ports };
    writeFleetRecord(settings.stateDir, this.#record);
  }

  #keepAlive(name: PartName, settings: FleetSettings, natsUrl: string): Promise<void> {
    return keepPart({
      current: () => {
        const part = this.#parts.get(name);
        if (!part) throw new Error(`the part ${name} was never started`);
        return { title: part.spec.title, ended: part.ended };
      },
      restart: () => this.#restart(name, settings, natsUrl),
      onNote: (note) => !this.#isStopping && this.#events.onNote(note),
      isStopping: () => this.#isStopping,
      sleep,
      nowMs: () => performance.now(),
    });
  }

  async #restart(name: PartName, settings: FleetSettings, natsUrl: string): Promise<void> {
    await this.#parts.get(name)?.stop(STOP_GRACE_MS);
    try {
      if (name === "bus") await this.#startBus();
      if (name === "api") await this.#startApi(settings, natsUrl);
      if (name === "node") await this.#startNode(settings, natsUrl);
      this.#writeRecord(settings, this.record);
    } catch (error) {
      await this.#parts.get(name)?.stop(STOP_GRACE_MS);
      throw error;
    }
  }
}

const withPorts = (settings: FleetSettings, ports: Partial<FleetPorts>): FleetSettings => ({
  ...settings,
  ports: { ...settings.ports, ...ports },
});

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The server writes this file when it listens. */
async function busPortOf(path: string, part: RunningPart): Promise<number> {
  while (!existsSync(path) || readFileSync(path).length === 0) {
    if (part.isEnded) throw new CliError("the NATS server ended");
    await sleep(POLL_MS);
  }
  const url: string = JSON.parse(readFileSync(path, "utf8")).nats[0];
  return portOf(url);
}
