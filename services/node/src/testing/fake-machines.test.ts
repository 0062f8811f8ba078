import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MachineRequest } from "../vm/machine-port.ts";
import { newVmId, vmPaths } from "../vm/vm-paths.ts";
import { FakeMachines } from "./fake-machines.ts";
import { type InterfaceFixture, interfaceContract } from "./interface-contract.ts";
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

async function fakeMachine(): Promise<MachineFixture & { readonly host: FakeMachines }> {
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

const mac = (last: number) => `02:00:00:00:00:0${last}`;

/** The guest of a fake machine sees its machine's interfaces. Each request has taps named after its VM. */
async function fakeInterfaces(): Promise<InterfaceFixture> {
  const { host, directory, ...rest } = await fakeMachine();
  const withInterface = (): MachineRequest => {
    const { paths, ...machine } = request();
    const at = { id: "net0", mac: mac(1), tap: `${paths.id}-0`, port: 0 };
    return { ...machine, paths, interfacePorts: 2, devices: [{ kind: "interface", ...at, added: "cold" }] };
  };
  const processOf = (id: string) =>
    [...host.processes.values()].find((process) => process.id === id) ?? assert.fail(`VM ${id} runs`);
  const linksOf = ({ devices, linksUp }: ReturnType<typeof processOf>) =>
    [...devices.values()]
      .filter((device) => device.kind === "interface")
      .map(({ id, mac, tap }) => ({ mac, tap, isUp: linksUp.has(id) }));
  return {
    host,
    request: withInterface(),
    another: withInterface(),
    directory,
    second: ({ id }) => ({ kind: "interface", id: "net1", mac: mac(2), tap: `${id}-1`, port: 1 }),
    seenBy: async ({ identity }) => {
      const process = host.processes.get(identity.pid) ?? assert.fail("it runs");
      return linksOf(process).map(({ mac, isUp }) => `${mac} ${isUp ? "up" : "down"}`);
    },
    passes: async ({ id }, tap) => linksOf(processOf(id)).some((link) => link.tap === tap && link.isUp),
    [Symbol.asyncDispose]: rest[Symbol.asyncDispose],
  };
}

machineContract("fake machines", fakeMachine);
interfaceContract("interfaces of fake machines", fakeInterfaces);
savedMachineContract("fake machines", fakeMachine);
