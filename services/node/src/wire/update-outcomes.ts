/** The outcomes of an update's limits. Pure. */
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
 * One outcome for each requested limit, all in force because the guest has applied them; and those of the VM's size when it
 * changed or differs from what its containers need. `before` are the VM's limits before the update.
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
      ? "the guest has not released it yet; it is removed as soon as the guest does, or at the next start"
      : "the guest has not taken it yet; it is added as soon as the guest does, or at the next start";
  return [outcome({ ...figures, reason, effect: ResourceEffect.NEXT_START })];
}

const limitValue = (value: AskedLimit["requested"] | number): LimitValue =>
  create(LimitValueSchema, {
    value: typeof value === "string" ? { case: "text", value } : { case: "number", value: BigInt(value) },
  });

const outcome = (fields: Partial<Omit<ResourceOutcome, "$typeName" | "$unknown">>): ResourceOutcome =>
  create(ResourceOutcomeSchema, { effect: ResourceEffect.LIVE, ...fields });
