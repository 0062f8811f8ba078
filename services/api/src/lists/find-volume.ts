/** Finds volumes in the fleet. No registry has them: their nodes are asked. */
import { create } from "@bufbuild/protobuf";
import { hasReason, invalidField, PaddockError } from "@paddock/domain";
import { GetVolumeRequestSchema, type SandboxSpec, VolumeService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "./ask-every-node.ts";

/** A VM has no more disks. */
const MOST_VOLUMES = 256;

export type VolumePlace = {
  /** The node that has the volume; undefined if no node that answers has it. */
  readonly nodeId: string | undefined;
  /** Nodes that did not answer. */
  readonly unreachable: readonly string[];
};

/** The node of a volume, as far as nodes answer. Throws the error of a node that has the volume and cannot read it. */
export async function findVolume(api: ApiContext, ctx: CallContext, name: string): Promise<VolumePlace> {
  await api.sight.seen(ctx);
  const body = create(GetVolumeRequestSchema, { name });
  const method = VolumeService.method.getVolume;
  const { answers, refusals, unreachable } = await askEveryNode(api, ctx, { method, body });
  const broken = refusals.find(({ error }) => !isAbsence(error));
  if (broken !== undefined) throw broken.error;
  return { nodeId: answers[0]?.nodeId, unreachable };
}

/** Whether an error means that the node does not have the volume. An earlier version of a node has no volumes. */
export const isAbsence = (error: unknown): boolean => hasReason(error, "VOLUME_NOT_FOUND", "NOT_IMPLEMENTED");

/** The node of a volume. Throws VOLUME_NOT_FOUND, or NODE_UNAVAILABLE if a node that does not answer may have it. */
export async function nodeOfVolume(api: ApiContext, ctx: CallContext, name: string): Promise<string> {
  const { nodeId, unreachable } = await findVolume(api, ctx, name);
  if (nodeId !== undefined) return nodeId;
  throw noVolume(name, unreachable);
}

/** No node that answers has the volume. */
export function noVolume(name: string, [silent, ...others]: readonly string[]): PaddockError {
  if (silent === undefined)
    return new PaddockError("VOLUME_NOT_FOUND", `no node has a volume ${name}`, {
      hint: "create it first; list the volumes to see which exist",
      metadata: { volume: name },
    });
  return new PaddockError("NODE_UNAVAILABLE", `volume ${name} may be on ${[silent, ...others].join(", ")}`, {
    hint: "repeat the call when the node is back",
    metadata: { node_id: silent },
  });
}

/**
 * The node on which a sandbox must be placed because its volumes are there; undefined if it mounts none. Throws the errors of
 * `nodeOfVolume`, and INVALID_FIELD if its volumes are on different nodes.
 */
export async function nodeOfVolumes(
  api: ApiContext,
  ctx: CallContext,
  { containers }: Pick<SandboxSpec, "containers">,
): Promise<string | undefined> {
  const mounts = containers.flatMap((container) => container.mounts);
  const names = new Set(
    mounts.flatMap(({ source }) => (source.case === "volume" ? [source.value.name] : [])),
  );
  if (names.size > MOST_VOLUMES)
    throw invalidField("spec.containers", `must mount at most ${MOST_VOLUMES} volumes`);
  const found = new Map<string, string>();
  for (const name of names) found.set(await nodeOfVolume(api, ctx, name), name);
  const [first, second] = [...found];
  if (first !== undefined && second !== undefined)
    throw invalidField(
      "spec.containers",
      "must mount volumes of one node",
      `volume ${first[1]} is on node ${first[0]}, and volume ${second[1]} on node ${second[0]}`,
    );
  return first?.[0];
}
