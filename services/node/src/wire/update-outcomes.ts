/** What became of each limit of an update. Pure. */
import { create } from "@bufbuild/protobuf";
import type { AskedLimit } from "@paddock/domain";
import {
  type LimitValue,
  LimitValueSchema,
  ResourceEffect,
  type ResourceOutcome,
  ResourceOutcomeSchema,
} from "@paddock/protocol";
import type { Applied } from "../vm/running-vm.ts";

/**
 * One outcome for each limit that was asked for, all in force as the guest has taken them; and those of the VM's size when it changed
 * or has not come to what its containers need. `before` is what was in force for the VM before.
 */
export function outcomesOf(
  asked: readonly AskedLimit[],
  before: Applied | undefined,
  after: Applied | undefined,
): ResourceOutcome[] {
  const outcomes = asked.map(({ path, requested }) =>
    outcome({ field: path, requested: limitValue(requested), inForce: limitValue(requested) }),
  );
  if (after === undefined) return outcomes;
  return [
    ...outcomes,
    ...vmOutcome("vm.vcpus", before?.size.vcpus, after.wanted.vcpus, after.size.vcpus),
    ...vmOutcome(
      "vm.memory_bytes",
      before?.size.memoryBytes,
      after.wanted.memoryBytes,
      after.size.memoryBytes,
    ),
  ];
}

function vmOutcome(
  field: string,
  before: number | undefined,
  wanted: number,
  has: number,
): ResourceOutcome[] {
  if (wanted === before && wanted === has) return [];
  const figures = { field, requested: limitValue(wanted), inForce: limitValue(has) };
  if (wanted === has) return [outcome(figures)];
  const reason =
    wanted < has
      ? "the guest has not given it back yet; it is taken as soon as it does, and at the next start"
      : "the guest has not taken it yet; it has it as soon as it does, and at the next start";
  return [outcome({ ...figures, reason, effect: ResourceEffect.NEXT_START })];
}

const limitValue = (value: AskedLimit["requested"] | number): LimitValue =>
  create(LimitValueSchema, {
    value: typeof value === "string" ? { case: "text", value } : { case: "number", value: BigInt(value) },
  });

const outcome = (fields: Partial<Omit<ResourceOutcome, "$typeName" | "$unknown">>): ResourceOutcome =>
  create(ResourceOutcomeSchema, { effect: ResourceEffect.LIVE, ...fields });
