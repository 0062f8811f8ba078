/** Which sandbox may have a source, and its address in the VM. Pure. */
import { PaddockError } from "@paddock/domain";
import { freeTarget } from "./container-place.ts";
import type { HostSource } from "./device-record.ts";
import { devicesOnHost } from "./sandbox-devices.ts";
import type { SandboxRecord } from "./sandbox-record.ts";

const overlap = (one: HostSource, other: HostSource): boolean =>
  one.identity === other.identity || one.whole === other.identity || other.whole === one.identity;

/**
 * The address of a new device: that of the same disk if the sandbox has it, or a free one. `others` are the other sandboxes of
 * the node. Throws DEVICE_IN_USE for a disk that is written to elsewhere, and TOO_MANY.
 */
export function targetFor(
  source: HostSource,
  record: SandboxRecord,
  others: readonly Pick<SandboxRecord, "sandboxId" | "devices" | "operations">[],
): number {
  requireUnshared(source, others);
  const own = devicesOnHost(record).filter((each) => overlap(each.source, source));
  const same = own.find((each) => each.source.identity === source.identity);
  const isMixed = own.some((each) => !each.source.readOnly || !source.readOnly);
  if (same?.source.readOnly === source.readOnly) return same.target;
  if (isMixed)
    throw inUse(
      source,
      `by device ${own[0]?.deviceId} of the same sandbox, which differs in read_only or size`,
    );
  return freeTarget(record);
}

/** Throws DEVICE_IN_USE if a device of another sandbox overlaps, unless both only read. */
export function requireUnshared(
  source: HostSource,
  others: readonly Pick<SandboxRecord, "sandboxId" | "devices" | "operations">[],
): void {
  for (const other of others)
    for (const device of devicesOnHost(other))
      if (overlap(device.source, source) && !(device.source.readOnly && source.readOnly))
        throw inUse(source, `by device ${device.deviceId} of sandbox ${other.sandboxId}`);
}

const inUse = ({ path }: HostSource, by: string): PaddockError =>
  new PaddockError("DEVICE_IN_USE", `${path} is in use ${by}`, {
    hint: "several sandboxes can use a device only if all of them have it read-only",
  });
