/**
 * Bounds on the size of a sandbox's record.
 *
 * The record is written as a whole at each change, by a call that blocks the event loop, and every answer about a sandbox must
 * fit into the bus's 1 MiB: a larger sandbox could be created but never shown. Only the specs are under a client's control;
 * everything else in a record (causes, evidence, reasons, ids) is bounded where it is created, and there are at most 128
 * containers, ended ones included.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  type ContainerSpec,
  ContainerSpecSchema,
  ContainerStatusSchema,
  type SandboxSpec,
  SandboxSpecSchema,
} from "@paddock/protocol";

/** A sandbox's spec as requested. */
const MAX_SPEC_BYTES = 768 * 1024;
/** The specs of all its containers, including those created one by one. */
const MAX_CONTAINERS_BYTES = 1024 * 1024;
/** The spec with its current containers, and the parts of each that the status repeats. */
const MAX_SHOWN_BYTES = 976 * 1024;
/** The rest of a container's status: ids, times, the reason of its end. */
const STATUS_BYTES = 768;

type RecordParts = {
  readonly spec: SandboxSpec;
  readonly containers: readonly { readonly spec: ContainerSpec }[];
};

const BOUNDS = [
  {
    part: "spec",
    what: "the spec has",
    most: MAX_SPEC_BYTES,
    otherwise: "or create containers one by one",
  },
  {
    part: "containers",
    what: "the specs of the sandbox's containers have",
    most: MAX_CONTAINERS_BYTES,
    otherwise: "delete containers that have ended, or use another sandbox",
  },
  {
    part: "shown",
    what: "an answer about the sandbox would have",
    most: MAX_SHOWN_BYTES,
    otherwise: "delete containers that have ended, or use fewer labels",
  },
] as const;

/** Throws TOO_LARGE when the record would be too large, unless it is not larger than `before`. */
export function checkRecordSize(parts: RecordParts, before?: RecordParts): void {
  const after = sizesOf(parts);
  const known = before && sizesOf(before);
  for (const { part, what, most, otherwise } of BOUNDS)
    if (after[part] > most && after[part] > (known?.[part] ?? 0))
      throw new PaddockError("TOO_LARGE", `${what} ${after[part]} bytes, of ${most} that are allowed`, {
        hint: `put less into env, args, files, labels and annotations, ${otherwise}`,
      });
}

function sizesOf({ spec, containers }: RecordParts) {
  const bytes = containers.map((each) => toBinary(ContainerSpecSchema, each.spec).length);
  const status = containers.map((each) => statusBytes(each.spec));
  const own = { ...spec, containers: [] };
  return {
    spec: toBinary(SandboxSpecSchema, spec).length,
    containers: sum(bytes),
    shown: toBinary(SandboxSpecSchema, own).length + sum(bytes) + sum(status),
  };
}

function statusBytes({ labels, image, resources }: ContainerSpec): number {
  const repeated = create(ContainerStatusSchema, {
    labels,
    image,
    ...(resources && { resources, resourcesInForce: resources }),
  });
  return STATUS_BYTES + toBinary(ContainerStatusSchema, repeated).length;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
