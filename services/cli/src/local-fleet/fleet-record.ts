/**
 * What "paddock up" writes to its state directory for later commands: the addresses and processes of the parts.
 *
 *   <state>/fleet.json      this record, readable by all: it contains no secret
 *   <state>/bus.conf        configuration of the NATS server with its password, for root only
 *   <state>/stream.secret   the secret that api and node daemon share, for root only
 *   <state>/logs/           bounded logs of the parts
 *   <state>/bus/            the NATS server's store
 *   <state>/node/           state of the node daemon
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessIdentity } from "@paddock/qemu";

/** The state directory of a fleet that names no other. */
export const DEFAULT_STATE_DIR = "/var/lib/paddock";

export type PartName = "bus" | "api" | "node";

export type FleetPorts = {
  readonly bus: number;
  readonly api: number;
  readonly http: number;
  readonly stream: number;
};

export type FleetRecord = {
  readonly version: 1;
  readonly apiAddress: string;
  readonly httpAddress: string;
  readonly nodeId: string;
  /** The process that supervises the parts, and the parts in the order of their start. */
  readonly supervisor: ProcessIdentity;
  readonly parts: readonly { readonly name: PartName; readonly identity: ProcessIdentity }[];
  readonly ports: FleetPorts;
};

export const fleetPaths = (stateDir: string) => ({
  record: join(stateDir, "fleet.json"),
  busConfig: join(stateDir, "bus.conf"),
  streamSecret: join(stateDir, "stream.secret"),
  logs: join(stateDir, "logs"),
  busStore: join(stateDir, "bus"),
  node: join(stateDir, "node"),
});

/** The record, or undefined when it is missing or cannot be read. */
export function readFleetRecord(stateDir: string): FleetRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(fleetPaths(stateDir).record, "utf8"));
    return record.version === 1 ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the record atomically. */
export function writeFleetRecord(stateDir: string, record: FleetRecord): void {
  const { record: path } = fleetPaths(stateDir);
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

/** Removes the files that are needed only while the fleet is up: the record and the secrets. */
export function removeFleetFiles(stateDir: string): void {
  const { record, busConfig, streamSecret } = fleetPaths(stateDir);
  for (const path of [record, busConfig, streamSecret]) rmSync(path, { force: true });
}
