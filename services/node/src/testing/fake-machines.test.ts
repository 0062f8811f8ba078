import { newVmId, vmPaths } from "../vm/vm-paths.ts";
import { FakeMachines } from "./fake-machines.ts";
import { machineContract } from "./machine-contract.ts";

const MIB = 1024 * 1024;

machineContract("machines of tests", async () => {
  const paths = vmPaths("/state", newVmId());
  return {
    host: new FakeMachines("boot"),
    request: {
      paths,
      uid: 64_998,
      vcpus: 1,
      maxVcpus: 4,
      memoryBytes: 256 * MIB,
      maxMemoryBytes: 1024 * MIB,
      placement: [],
      origin: {
        kind: "boot",
        disks: [{ id: "disk0", path: "/disk", readOnly: false, target: 0 }],
      },
    },
    booted: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
});
