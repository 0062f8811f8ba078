import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MachineRequest } from "../vm/machine-port.ts";
import { newVmId, vmPaths } from "../vm/vm-paths.ts";
import { FakeMachines } from "./fake-machines.ts";
import { type MachineFixture, machineContract } from "./machine-contract.ts";
import { savedMachineContract } from "./saved-machine-contract.ts";

const MIB = 1024 * 1024;

function request(): MachineRequest {
  return {
    paths: vmPaths("/state", newVmId()),
    uid: 64_998,
    vcpus: 1,
    maxVcpus: 4,
    memoryBytes: 256 * MIB,
    maxMemoryBytes: 1024 * MIB,
    placement: [],
    interfacePorts: 0,
    origin: { kind: "boot" },
    devices: [{ kind: "disk", id: "disk0", path: "/disk", readOnly: false, target: 0, added: "cold" }],
  };
}

async function fakeMachine(): Promise<MachineFixture> {
  const host = new FakeMachines("boot");
  const directory = mkdtempSync(join(tmpdir(), "saved-"));
  const memoryOf = ({ id }: { readonly id: string }) =>
    [...host.processes.values()].find((process) => process.id === id)?.memory;
  return {
    host,
    request: request(),
    another: async () => request(),
    directory,
    answers: async () => undefined,
    mark: async (vm) => void memoryOf(vm)?.add("mark"),
    isMarked: async (vm) => memoryOf(vm)?.has("mark") ?? false,
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  };
}

machineContract("machines of tests", fakeMachine);
savedMachineContract("machines of tests", fakeMachine);
