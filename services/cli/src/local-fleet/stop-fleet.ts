/** Stops the processes that "paddock up" recorded, even if their supervisor no longer runs. */
import { endProcess, isAlive } from "@paddock/qemu";
import { type FleetRecord, removeFleetFiles } from "./fleet-record.ts";

const SUPERVISOR_GRACE_MS = 70_000;
const PART_GRACE_MS = 20_000;
const ORDER = ["node", "api", "bus"] as const;

/** Whether a process of the record is alive. */
export const isFleetUp = (record: FleetRecord): boolean =>
  isAlive(record.supervisor) || record.parts.some(({ identity }) => isAlive(identity));

/** Stops the node daemon, the api and the bus, in this order. */
export async function stopFleet(stateDir: string, record: FleetRecord): Promise<void> {
  await endProcess(record.supervisor, { graceMs: SUPERVISOR_GRACE_MS });
  const parts = [...record.parts].sort((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));
  for (const { identity } of parts) await endProcess(identity, { graceMs: PART_GRACE_MS });
  removeFleetFiles(stateDir);
}
