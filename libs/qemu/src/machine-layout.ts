/** Identifies machines whose device states are interchangeable. */
import { createHash } from "node:crypto";
import { qemuArguments } from "./command-line.ts";
import type { DeviceSpec, MachineSpec, MemoryBacking } from "./machine-spec.ts";

/** The layout excludes a device's file, tap or socket, and a MAC address, which is part of the saved state. */
function unplaced(device: DeviceSpec): DeviceSpec {
  switch (device.kind) {
    case "disk":
      return { ...device, path: "/" };
    case "interface":
      return { ...device, tap: "tap", mac: "00:00:00:00:00:00" };
    case "share":
      return { ...device, socket: "/" };
    default:
      return device satisfies never;
  }
}

const layoutBacking = ({ kind }: MemoryBacking): MemoryBacking =>
  kind === "shared" ? { kind } : { kind: "anonymous" };

/** Machines have equal layouts when their command lines differ only in name, files, taps and origin. */
export function machineLayout(spec: MachineSpec): string {
  const args = qemuArguments({
    ...spec,
    name: "vm",
    memory: { ...spec.memory, backing: layoutBacking(spec.memory.backing) },
    devices: spec.devices.map(unplaced),
    start: "boot",
  });
  return createHash("sha256").update(JSON.stringify(args)).digest("hex");
}
