/** Commands about volumes as tests send them, and what they find afterwards. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { MIB } from "@paddock/domain";
import { ContainerSpecSchema, fromStatus, type Volume } from "@paddock/protocol";
import { vmPaths } from "../vm/vm-paths.ts";
import type { NamedOutcome } from "./named-command.ts";
import type { TestNode } from "./test-node.ts";

export const mountOf = (name: string, readOnly = false) => ({
  destination: `/mnt/${name}`,
  source: { case: "volume", value: { name } } as const,
  readOnly,
});
export const containerWith = (containerId: string, ...mounts: ReturnType<typeof mountOf>[]) =>
  create(ContainerSpecSchema, { containerId, image: "tiny", mounts });

export function volumeIn(outcome: NamedOutcome): Volume {
  if (outcome.case === "error") throw new Error(outcome.value.message);
  assert.ok("volume" in outcome.value && outcome.value.volume !== undefined);
  return outcome.value.volume;
}

export const reasonOf = (outcome: NamedOutcome): string =>
  outcome.case === "error" ? fromStatus(outcome.value).reason : "accepted";

export const make = (
  node: TestNode,
  name: string,
  sizeBytes = BigInt(16 * MIB),
  requestId = `make ${name}`,
) =>
  node.ask({ case: "createVolume", value: { name, sizeBytes } }, { requestId: requestId.replace(" ", "-") });
export const get = (node: TestNode, name: string) => node.ask({ case: "getVolume", value: { name } });
export const remove = (node: TestNode, name: string) => node.ask({ case: "deleteVolume", value: { name } });
export const sandboxWith = (node: TestNode, sandboxId: string, ...mounts: ReturnType<typeof mountOf>[]) =>
  node.ask(
    { case: "createSandbox", value: { spec: { containers: [containerWith("c1", ...mounts)] } } },
    { sandboxId },
  );
export const removeSandbox = (node: TestNode, sandboxId: string) =>
  node.ask({ case: "deleteSandbox", value: { force: true } }, { sandboxId });
export const files = (node: TestNode) => readdirSync(join(node.stateDir, "volumes"));
export const linksOf = (node: TestNode, sandboxId: string) => {
  const { dir } = vmPaths(node.stateDir, node.context.sandboxes.require(sandboxId).record.vm.id);
  return readdirSync(dir).filter((name) => name.startsWith("volume-"));
};
