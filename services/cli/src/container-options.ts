/** Options that say what a container is, the same for `run` and `create`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ContainerResourcesSchema, ContainerSpecSchema } from "@paddock/protocol";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { MAIN_CONTAINER } from "./client/targets.ts";
import { collect } from "./command-definition.ts";
import { type CommandRun, newId } from "./command-run.ts";
import { parseBytes } from "./output/quantities.ts";
import { addProcessOptions, type ProcessOptions, processSpec } from "./process-options.ts";

const CPU_PERIOD_US = 100_000;

export type ContainerOptions = ProcessOptions & {
  readonly name?: string;
  readonly sandbox?: string;
  readonly cpus?: string;
  readonly memory?: string;
  readonly label?: readonly string[];
  readonly readOnly?: boolean;
};

export const addContainerOptions = (command: Command): Command =>
  addProcessOptions(command)
    .option("--name <id>", "id of the sandbox; with --sandbox, of the container")
    .option("--sandbox <id>", "add the container to this sandbox instead of a new one")
    .option("--cpus <number>", 'CPUs it may use, such as "0.5" or "2"')
    .option("-m, --memory <size>", 'memory it may use, such as "128m"')
    .option("--label <KEY=VALUE>", "label; may be repeated", collect)
    .option("--read-only", "no writing to its root file system");

/** Where a new container goes. */
export type ContainerPlace = {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly isNewSandbox: boolean;
};

export const newPlace = (options: ContainerOptions): ContainerPlace =>
  options.sandbox === undefined
    ? { sandboxId: options.name ?? newId(), containerId: MAIN_CONTAINER, isNewSandbox: true }
    : { sandboxId: options.sandbox, containerId: options.name ?? newId(), isNewSandbox: false };

export function containerSpec(
  run: CommandRun,
  options: ContainerOptions,
  what: { readonly containerId: string; readonly image: string; readonly args: readonly string[] },
): MessageInitShape<typeof ContainerSpecSchema> {
  return {
    containerId: what.containerId,
    image: what.image,
    process: processSpec(run, options, what.args),
    resources: resources(options),
    readOnlyRootfs: options.readOnly === true,
    labels: labels(options.label ?? []),
  };
}

function resources({ cpus, memory }: ContainerOptions): MessageInitShape<typeof ContainerResourcesSchema> {
  return {
    ...(cpus === undefined
      ? {}
      : { cpuQuotaUs: BigInt(cpuQuotaUs(cpus)), cpuPeriodUs: BigInt(CPU_PERIOD_US) }),
    ...(memory === undefined ? {} : { memoryBytes: BigInt(parseBytes(memory)) }),
  };
}

function cpuQuotaUs(text: string): number {
  const quota = Math.round(Number(text) * CPU_PERIOD_US);
  if (!/^\d*\.?\d+$/.test(text) || quota < 1000) {
    throw usageError(`"${text}" is not a number of CPUs`, 'write such as "0.5" or "2", at least "0.01"');
  }
  return quota;
}

function labels(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
