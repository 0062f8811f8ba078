/** Options for a new container: the same for `run` and `create`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ContainerSpec, ContainerSpecSchema } from "@paddock/protocol";
import type { Command } from "commander";
import { chosenName, newId } from "./client/generated-id.ts";
import { MAIN_CONTAINER } from "./client/targets.ts";
import { collect } from "./command-definition.ts";
import type { CommandRun } from "./command-run.ts";
import { addLimitOptions, type LimitOptions, parseLimits, withSwap } from "./limit-options.ts";
import { addMountOptions, diskBytes, type MountOptions, parseMounts } from "./mount-options.ts";
import type { MountInit } from "./mounts/mount-place.ts";
import { addNetworkOptions, type NetworkOptions } from "./network-options.ts";
import { addProcessOptions, type ProcessOptions, processSpec } from "./process-options.ts";
import { addVmOptions, type VmOptions } from "./vm-options.ts";

export type ContainerOptions = ProcessOptions &
  LimitOptions &
  VmOptions &
  MountOptions &
  NetworkOptions & {
    readonly name?: string;
    readonly sandbox?: string;
    readonly label?: readonly string[];
    readonly entrypoint?: string;
    readonly hostname?: string;
  };

export function addContainerOptions(command: Command): Command {
  addProcessOptions(command)
    .option("--name <id>", "id of the sandbox; with --sandbox, of the container")
    .option("--sandbox <id>", "add the container to this sandbox instead of a new one")
    .option("-l, --label <KEY=VALUE>", "label; may be repeated", collect)
    .option("--entrypoint <program>", 'what to execute in place of the image\'s entrypoint; "" for none')
    .option("--hostname <name>", "its hostname (default: the sandbox's)");
  return addVmOptions(addLimitOptions(addNetworkOptions(addMountOptions(command))));
}

/** The location of a new container. */
export type ContainerPlace = {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly isNewSandbox: boolean;
};

export function newPlace({ name, sandbox }: ContainerOptions): ContainerPlace {
  const id = name === undefined ? newId() : chosenName(name);
  return sandbox === undefined
    ? { sandboxId: id, containerId: MAIN_CONTAINER, isNewSandbox: true }
    : { sandboxId: sandbox, containerId: id, isNewSandbox: false };
}

/** The name of the container on the command line. */
export const nameOf = (place: ContainerPlace): string =>
  place.isNewSandbox ? place.sandboxId : `${place.sandboxId}/${place.containerId}`;

/** Prints the ids for scripts. */
export function printPlace(run: CommandRun, place: ContainerPlace): void {
  const { sandboxId, containerId } = place;
  if (run.isJson) run.printJson({ sandboxId, containerId });
  else run.print(`${nameOf(place)}\n`);
}

type SpecInit = Exclude<MessageInitShape<typeof ContainerSpecSchema>, ContainerSpec>;
type ContainerInit = SpecInit & { readonly mounts: MountInit[] };

/** The container without its image, which may have to be imported first. Throws a usage error. */
export function containerSpec(
  run: CommandRun,
  options: ContainerOptions,
  what: { readonly containerId: string; readonly args: readonly string[] },
): ContainerInit {
  return {
    containerId: what.containerId,
    process: processSpec(run, options, []),
    ...(options.entrypoint === undefined
      ? {}
      : { entrypoint: { words: options.entrypoint === "" ? [] : [options.entrypoint] } }),
    args: [...what.args],
    hostname: options.hostname ?? "",
    resources: withSwap(parseLimits(options), options.memorySwap, undefined),
    mounts: parseMounts(options, run.around.env.HOME),
    readOnlyRootfs: options.readOnly === true,
    writableLayerBytes: diskBytes(options),
    labels: parseLabels(options.label ?? []),
  };
}

/** Labels as KEY=VALUE; KEY alone has an empty value. */
export function parseLabels(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
