/**
 * How large the record of a sandbox may become.
 *
 * It is written as a whole at each change, by a call that holds the event loop, and every answer about a sandbox must fit into the
 * bus's 1 MiB: a sandbox beyond that could be created and never shown. What a client can make long are the specs; all else that a record
 * keeps (causes, evidence, reasons, ids) is bounded where it is made, and there are 128 containers at most, ended ones included.
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

/** A sandbox's spec as it was given. */
const MAX_SPEC_BYTES = 768 * 1024;
/** The specs of all its containers, those that were created one by one too. */
const MAX_CONTAINERS_BYTES = 1024 * 1024;
/** The spec with its containers as they are now, and what the status repeats of each. */
const MAX_SHOWN_BYTES = 976 * 1024;
/** The rest of a container's status: ids, times, the reason of its end. */
const STATUS_BYTES = 768;

export type RecordParts = { readonly spec: SandboxSpec; readonly containers: readonly ContainerSpec[] };

type Sizes = { readonly spec: number; readonly containers: number; readonly shown: number };

/** Throws TOO_LARGE when a record of these specs would be too large, unless it is no larger than `before`. */
export function checkRecordSize(parts: RecordParts, before?: RecordParts): void {
  const after = sizesOf(parts);
  const known = before && sizesOf(before);
  const over = (of: keyof Sizes, most: number) => after[of] > most && after[of] > (known?.[of] ?? 0);
  if (over("spec", MAX_SPEC_BYTES))
    throw tooLarge("the spec has", after.spec, MAX_SPEC_BYTES, "or create containers one by one");
  if (over("containers", MAX_CONTAINERS_BYTES))
    throw tooLarge(
      "the specs of the sandbox's containers have",
      after.containers,
      MAX_CONTAINERS_BYTES,
      "delete containers that have ended, or use another sandbox",
    );
  if (over("shown", MAX_SHOWN_BYTES))
    throw tooLarge(
      "an answer about the sandbox would have",
      after.shown,
      MAX_SHOWN_BYTES,
      "delete containers that have ended, or use fewer labels",
    );
}

function sizesOf({ spec, containers }: RecordParts): Sizes {
  const own = toBinary(SandboxSpecSchema, spec).length;
  return {
    spec: own,
    containers: sum(containers, (each) => toBinary(ContainerSpecSchema, each).length),
    shown:
      toBinary(SandboxSpecSchema, { ...spec, containers: [] }).length +
      sum(containers, (each) => toBinary(ContainerSpecSchema, each).length + statusBytes(each)),
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

const sum = (specs: readonly ContainerSpec[], bytes: (spec: ContainerSpec) => number): number =>
  specs.reduce((total, spec) => total + bytes(spec), 0);

const tooLarge = (what: string, bytes: number, most: number, otherwise: string): PaddockError =>
  new PaddockError("TOO_LARGE", `${what} ${bytes} bytes, of ${most} that are allowed`, {
    hint: `put less into env, args, files, labels and annotations, ${otherwise}`,
  });
