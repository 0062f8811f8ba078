/** Sandboxes for tests, with names that show which test they belong to. */
import { randomUUID } from "node:crypto";
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { ContainerSpecSchema, Sandbox } from "@paddock/protocol";
import { inSeconds, type Stack } from "./stack.ts";

export type ContainerInit = Exclude<
  MessageInitShape<typeof ContainerSpecSchema>,
  MessageShape<typeof ContainerSpecSchema>
>;

/** A container that does nothing until it gets SIGTERM. */
export const idle = { args: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"] };

/** Runs a sandbox with one idle container `c1` of the small image; `spec` adds to or overrides the container's spec. */
export async function runIdle(stack: Stack, sandboxId: string, spec: ContainerInit = {}): Promise<Sandbox> {
  const image = await stack.tinyImage();
  const { sandbox } = await stack.client.sandboxes.runSandbox(
    {
      requestId: randomUUID(),
      sandboxId,
      spec: { containers: [{ containerId: "c1", image, process: idle, ...spec }] },
    },
    { deadline: inSeconds(90) },
  );
  if (!sandbox) throw new Error("RunSandbox answered without a sandbox");
  return sandbox;
}
