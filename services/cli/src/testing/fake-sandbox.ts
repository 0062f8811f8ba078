/** Sandboxes for tests, with the calls that commands need to find their targets. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import {
  ContainerState,
  Isolation,
  type NetworkStatusSchema,
  type SandboxSchema,
  SandboxService,
  SandboxState,
} from "@paddock/protocol";

type SandboxInit = MessageInitShape<typeof SandboxSchema>;

export function fakeSandbox(
  sandboxId: string,
  containerIds: readonly string[] = ["main"],
  network?: MessageInitShape<typeof NetworkStatusSchema>,
): SandboxInit {
  return {
    sandboxId,
    nodeId: "host-1",
    status: {
      sandboxId,
      state: SandboxState.RUNNING,
      isolation: Isolation.TCG_NO_GUARANTEE,
      createdAt: { seconds: BigInt(Math.floor(Date.now() / 1000) - 300) },
      containers: containerIds.map((containerId) => ({
        containerId,
        image: "tiny:1",
        state: ContainerState.RUNNING,
        startedAt: { seconds: BigInt(Math.floor(Date.now() / 1000) - 120) },
      })),
      ...(network && { network }),
    },
  };
}

/** Makes the api find and list the sandboxes. */
export function serveSandboxes(api: FakeApi, sandboxes: readonly SandboxInit[]): void {
  const find = (id: string) => {
    const found = sandboxes.find(({ sandboxId }) => sandboxId === id);
    if (!found) throw new PaddockError("SANDBOX_NOT_FOUND", `sandbox "${id}" does not exist`);
    return found;
  };
  api.unary(SandboxService.method.getSandboxStatus, ({ sandboxId }) => {
    const { status } = find(sandboxId);
    return status ? { status } : {};
  });
  api.unary(SandboxService.method.getSandbox, ({ sandboxId }) => ({ sandbox: find(sandboxId) }));
  api.unary(SandboxService.method.listSandboxes, () => ({ sandboxes: [...sandboxes] }));
}
