/** Options that size the VM of a new sandbox, for `run` and `create`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SandboxSpec, SandboxSpecSchema } from "@paddock/protocol";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { wholeNumber } from "./limit-options.ts";
import { parseBytes } from "./output/quantities.ts";

export type VmOptions = {
  readonly vcpus?: string;
  readonly maxVcpus?: string;
  readonly vmMemory?: string;
  readonly maxMemory?: string;
};

const MAX_VCPUS = 240;
const MIB = 1024 * 1024;
const MIN_MEMORY_MIB = 96;

export const addVmOptions = (command: Command): Command =>
  command
    .option("--vcpus <number>", "virtual CPUs of the VM at boot: 1 to 240 (default: as its containers need)")
    .option("--max-vcpus <number>", "virtual CPUs it may grow to: 1 to 240 (default: the node's limit)")
    .option(
      "--vm-memory <size>",
      "memory of the VM at boot: from 96m, in whole MiB (default: as its containers need)",
    )
    .option(
      "--max-memory <size>",
      "memory it may grow to: from 96m, in whole MiB (default: the node's limit)",
    );

/** The part of the spec of a sandbox that sizes its VM. `isNewSandbox` tells whether a VM is created. */
export function vmResources(
  { vcpus, maxVcpus, vmMemory, maxMemory }: VmOptions,
  isNewSandbox: boolean,
): Pick<Exclude<MessageInitShape<typeof SandboxSpecSchema>, SandboxSpec>, "resources"> {
  if ([vcpus, maxVcpus, vmMemory, maxMemory].every((text) => text === undefined)) return {};
  if (!isNewSandbox) {
    throw usageError(
      "the VM of --sandbox has its size already",
      "it grows with the limits of its containers, up to the maximum it was created with",
    );
  }
  const resources = {
    ...(vcpus === undefined ? {} : { vcpus: wholeNumber("--vcpus", vcpus, 1, MAX_VCPUS) }),
    ...(maxVcpus === undefined ? {} : { maxVcpus: wholeNumber("--max-vcpus", maxVcpus, 1, MAX_VCPUS) }),
    ...(vmMemory === undefined ? {} : { memoryBytes: wholeMib("--vm-memory", vmMemory) }),
    ...(maxMemory === undefined ? {} : { maxMemoryBytes: wholeMib("--max-memory", maxMemory) }),
  };
  return { resources };
}

function wholeMib(option: string, text: string): bigint {
  const bytes = parseBytes(text);
  if (bytes % MIB !== 0 || bytes < MIN_MEMORY_MIB * MIB) {
    throw usageError(`${option} ${text} is not a size for a VM`, `whole MiB, at least "${MIN_MEMORY_MIB}m"`);
  }
  return BigInt(bytes);
}
