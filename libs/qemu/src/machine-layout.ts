/** Tells machines apart whose device states do not fit each other. */
import { createHash } from "node:crypto";
import { qemuArguments } from "./command-line.ts";
import type { DeviceSpec, MachineSpec } from "./machine-spec.ts";

/** Where a device's file or tap is, and its MAC address, are not part of the layout: the state has the address. */
const unplaced = (device: DeviceSpec): DeviceSpec =>
  device.kind === "disk" ? { ...device, path: "/" } : { ...device, tap: "tap", mac: "00:00:00:00:00:00" };

/** Two machines with equal layouts have the same command line but for what is theirs alone: name, files, taps, origin. */
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
