/** A node with a network in memory, and a running sandbox on it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { NetworkInterfaceSchema, NetworkSpecSchema } from "@paddock/protocol";
import { FakeNetwork } from "./fake-network.ts";
import type { NamedOutcome } from "./named-command.ts";
import { sandboxIn, TestNode } from "./test-node.ts";

/** A node with a network, which later daemons also have. */
export async function networkedNode(): Promise<{ node: TestNode; network: FakeNetwork }> {
  const node = await TestNode.start();
  const network = new FakeNetwork();
  node.network = network;
  await node.crash();
  return { node, network };
}

/** The same with a running sandbox "s1". */
export async function networkedSandbox(spec?: MessageInitShape<typeof NetworkSpecSchema>) {
  const networked = await networkedNode();
  sandboxIn(await networked.node.ask(creation(spec)));
  sandboxIn(await networked.node.ask({ case: "startSandbox", value: {} }));
  return networked;
}

const containers = [{ containerId: "c1", image: "tiny" }];

export const creation = (network?: MessageInitShape<typeof NetworkSpecSchema>) =>
  ({
    case: "createSandbox",
    value: { spec: { containers, ...(network !== undefined && { network }) } },
  }) as const;

export const addition = (wanted: MessageInitShape<typeof NetworkInterfaceSchema>) =>
  ({ case: "addInterface", value: { interface: wanted } }) as const;

export const removal = (interfaceId: string) =>
  ({ case: "removeInterface", value: { interfaceId } }) as const;

/** The text of an error; empty for a success. */
export const errorOf = (outcome: NamedOutcome): string =>
  outcome.case === "error" ? outcome.value.message : "";
