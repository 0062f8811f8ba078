/** Identifies machines whose device states are interchangeable. */
import { createHash } from "node:crypto";
import { qemuArguments } from "./command-line.ts";
import type { DeviceSpec, MachineSpec } from "./machine-spec.ts";

/** The layout excludes a device's file or tap, and its MAC address, which is part of the saved state. */
const unplaced = (device: DeviceSpec): DeviceSpec =>
  device.kind === "disk" ? { ...device, path: "/" } : { ...device, tap: "tap", mac: "00:00:00:00:00:00" };

/** Machines have equal layouts when their command lines differ only in name, files, taps and origin. */
export function machineLayout(spec: MachineSpec): string {
  const args = qemuArguments({
    ...spec,
    name: "vm",
    memory: { ...spec.memory, backing: { kind: "anonymous" } },
    devices: spec.devices.map(unplaced),
    start: "boot",
  });
  return createHash("sha256").update(JSON.stringify(args)).digest("hex");
}
