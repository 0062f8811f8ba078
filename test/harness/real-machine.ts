/** QEMU machines without a daemon, for the contracts of machines. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { type AgentClient, connectAgent } from "../../services/node/src/agent/connect-agent.ts";
import { installGuestFiles } from "../../services/node/src/host/guest-files.ts";
import { FakeCgroups } from "../../services/node/src/testing/fake-machines.ts";
import type { MachineFixture } from "../../services/node/src/testing/machine-contract.ts";
import type { MachineRequest } from "../../services/node/src/vm/machine-port.ts";
import { QemuHost } from "../../services/node/src/vm/qemu-host.ts";
import { ownVmDirectory } from "../../services/node/src/vm/vm-directory.ts";
import { newVmId, type VmPaths, vmPaths, vmsDir } from "../../services/node/src/vm/vm-paths.ts";
import { repositoryRoot } from "./child-service.ts";

const MIB = 1024 * 1024;
/** User of the VMs. */
export const VM_UID = 64_998;

export type RealMachine = MachineFixture & { agent(vm: VmPaths): Promise<AgentClient> };

/** A host of QEMU machines and a request, in a separate directory. */
export async function realMachine(initramfs?: Buffer): Promise<RealMachine> {
  const state = mkdtempSync(join(tmpdir(), "machine-"));
  chmodSync(state, 0o711);
  mkdirSync(vmsDir(state), { mode: 0o711 });
  const directory = join(state, "saved");
  mkdirSync(directory, { mode: 0o711 });
  const guest = await installGuestFiles(join(repositoryRoot, "deploy/guest/out"), state);
  const ours = join(state, "initramfs");
  if (initramfs !== undefined) writeFileSync(ours, initramfs, { mode: 0o444 });
  const host = new QemuHost({
    binary: "qemu-system-x86_64",
    accelerator: "tcg",
    // These guests are idle when vCPUs are plugged and unplugged, which works under emulation.
    vcpuControl: "plug",
    // The guest brings its CPUs online first, and the host has other work.
    guestPatienceMs: 30_000,
    cpuModel: "max",
    groups: [],
    guest: { ...guest, initramfs: initramfs === undefined ? guest.initramfs : ours },
    cgroups: new FakeCgroups(),
    stateDir: state,
    freeBytes: async () => 1024 * MIB,
  });
  const agent = ({ agentSocket }: VmPaths) => connectAgent({ socketPath: agentSocket, deadlineMs: 60_000 });
  const getGuest = async (vm: VmPaths) => {
    await using connected = await agent(vm);
    const { guest } = await connected.sandbox.getGuest({});
    return guest ?? assert.fail("the answer has no guest");
  };
  return {
    host,
    request: await requestBelow(state),
    another: () => requestBelow(state),
    directory,
    agent,
    answers: async (vm) => void (await getGuest(vm)),
    async mark(vm) {
      await using connected = await agent(vm);
      await connected.sandbox.configureSandbox({ entropy: randomBytes(32), time: timestampNow() });
    },
    isMarked: async (vm) => (await getGuest(vm)).configured,
    async [Symbol.asyncDispose]() {
      const signal = AbortSignal.timeout(20_000);
      for (const id of await host.running()) await host.killStrays(vmPaths(state, id), signal);
      rmSync(state, { recursive: true, force: true });
    },
  };
}

async function requestBelow(state: string): Promise<MachineRequest> {
  const paths = vmPaths(state, newVmId());
  await ownVmDirectory(paths, VM_UID);
  const path = join(paths.dir, "disk");
  writeFileSync(path, "");
  truncateSync(path, MIB);
  chownSync(path, VM_UID, VM_UID);
  return {
    paths,
    uid: VM_UID,
    vcpus: 1,
    maxVcpus: 4,
    memoryBytes: 256 * MIB,
    maxMemoryBytes: 1024 * MIB,
    placement: [],
    interfacePorts: 0,
    origin: { kind: "boot" },
    devices: [{ kind: "disk", id: "disk0", path, readOnly: false, target: 0, added: "cold" }],
  };
}
