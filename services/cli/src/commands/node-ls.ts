import { listAllNodes } from "@paddock/client";
import { type Node, type NodeCapacity, NodeSchema, NodeState } from "@paddock/protocol";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";
import { formatBytes } from "../output/quantities.ts";
import { isolationText } from "../output/status-text.ts";

const HEADING = ["NODE", "STATE", "SANDBOXES", "CPUS", "MEMORY", "DISK", "ISOLATION", "QEMU", "VERSION"];

const STATES: Readonly<Record<NodeState, string>> = {
  [NodeState.UNSPECIFIED]: "unknown",
  [NodeState.UP]: "up",
  [NodeState.SUSPECT]: "suspect",
  [NodeState.DOWN]: "down",
};

export const nodeLsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ls", "list the nodes and their free capacity", [
    "node ls",
    "node ls -o json",
  ]).alias("list");
  return bind(command, async (run) => {
    const nodes = await run.call({ what: "list the nodes" }, listAllNodes);
    if (run.isJson) return run.print(toJsonArray(NodeSchema, nodes));
    if (run.settings.quiet) return run.print(nodes.map(({ nodeId }) => `${nodeId}\n`).join(""));
    run.print(columns([HEADING, ...nodes.map(rowOf)]));
  });
};

function rowOf(node: Node): string[] {
  const of = (key: keyof Pick<NodeCapacity, "memoryBytes" | "diskBytes">) =>
    `${formatBytes(node.allocated?.[key] ?? 0n)} / ${formatBytes(node.capacity?.[key] ?? 0n)}`;
  const cpus = (capacity: NodeCapacity | undefined) => (Number(capacity?.milliCpus ?? 0n) / 1000).toString();
  return [
    node.nodeId,
    `${STATES[node.state] ?? "unknown"}${node.cordoned ? ", cordoned" : ""}`,
    String(node.sandboxes),
    `${cpus(node.allocated)} / ${cpus(node.capacity)}`,
    of("memoryBytes"),
    of("diskBytes"),
    isolationText(node.isolation),
    node.qemuVersion || "-",
    node.version || "-",
  ].map(printable);
}
