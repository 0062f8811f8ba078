export { acceleratorArguments, qemuArguments } from "./command-line.ts";
export { type EndOptions, endProcess, waitForEnd } from "./end-process.ts";
export { type DeviceAccess, type HostFacts, readHostFacts } from "./host-facts.ts";
export { type HotPlugOptions, onHotPlug, setPluggedMemory, setVcpus } from "./hot-plug.ts";
export { kernelCommandLine } from "./kernel-command-line.ts";
export { type ListeningSocket, listeningSocket } from "./listening-socket.ts";
export { machineLayout } from "./machine-layout.ts";
export {
  type Accelerator,
  type DeviceSpec,
  EMULATION_CODE_BYTES,
  type MachineSpec,
  MEMORY_BLOCK_BYTES,
  type MemoryBacking,
} from "./machine-spec.ts";
export {
  type DiskRates,
  type MachineStatus,
  Monitor,
  type VcpuSlot,
  type VcpuThread,
} from "./monitor.ts";
export type { Privileges } from "./privileges.ts";
export {
  identify,
  isAlive,
  type ProcessIdentity,
  readBootId,
  signalProcess,
  threadsOf,
} from "./process-identity.ts";
export {
  type AcceleratorChoice,
  type ChooseOptions,
  chooseAccelerator,
  type GuestProof,
  type ProveOptions,
  proveGuest,
} from "./prove-accelerator.ts";
export { QemuError, type QemuErrorKind } from "./qemu-error.ts";
export { checkQemu, type QemuVersion } from "./qemu-version.ts";
export type { QmpCallOptions, QmpEvent, QmpSessionOptions } from "./qmp-session.ts";
export { firstUnreachable } from "./reach.ts";
export { receiveState } from "./receive-state.ts";
export { SerialReader } from "./serial-reader.ts";
export {
  type ShareServerSpec,
  shareServerOf,
  shareServerWords,
  VIRTIOFSD,
} from "./share-server.ts";
export { type DetachedProcess, type ProcessExit, spawnDetached } from "./spawn-detached.ts";
export { type SpawnedQemu, type SpawnOptions, spawnQemu } from "./spawn-qemu.ts";
export { StealTime } from "./steal-time.ts";
export { tunPrefix } from "./tun-access.ts";
export { type WaitForMonitorOptions, waitForMonitor } from "./wait-for-monitor.ts";
