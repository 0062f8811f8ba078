/** The walks over the list of host resources. */
import type { Step } from "@paddock/lifecycle";
import type { HostResource, OwnedNames, ResourceHost, ResourceOwner, ResourcePlan } from "./host-resource.ts";

type Resources = readonly HostResource[];

/** The part of an owner's resources: all, or those that a stopped sandbox does not keep. */
export type Extent = "all" | "of-the-boot";

const within = (resources: Resources, extent: Extent): Resources =>
  resources.filter(({ outlivesStop }) => extent === "all" || !outlivesStop);

/** The steps of a bring-up that acquire the resources. */
export const acquireSteps = (
  resources: Resources,
  extent: Extent,
): readonly Step<{ readonly plan: ResourcePlan }>[] =>
  within(resources, extent).map((resource) => ({
    name: resource.name,
    run: ({ plan }, signal) => resource.acquire(plan, signal),
    undo: ({ plan }, signal) => resource.release(plan, signal),
  }));

/** Releases the resources in reverse order. Tries all, and throws the first failure at the end. Safe to repeat. */
export async function releaseResources(
  resources: Resources,
  extent: Extent,
  owner: ResourceOwner,
  timeoutMs: number,
): Promise<void> {
  const failures: unknown[] = [];
  for (const resource of within(resources, extent).toReversed()) {
    try {
      await resource.release(owner, AbortSignal.timeout(timeoutMs));
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

export type SweepOptions = {
  readonly timeoutMs: number;
  /** Called for each swept owner, and for each resource that could not be released. */
  readonly onSwept: (resource: string, vmId: string) => void;
  readonly onFailed: (resource: string, vmId: string, error: unknown) => void;
};

/** Releases resources without a record, in reverse order of the list. Returns how many owners were swept. */
export async function sweepStrays(
  resources: Resources,
  host: ResourceHost,
  owned: OwnedNames,
  { timeoutMs, onSwept, onFailed }: SweepOptions,
): Promise<number> {
  const swept = new Set<string>();
  const failed = new Set<string>();
  for (const resource of resources.toReversed())
    for (const stray of await resource.listStrays(host, owned)) {
      const { id } = stray.vm;
      try {
        await resource.release(stray, AbortSignal.timeout(timeoutMs));
        swept.add(id);
        onSwept(resource.name, id);
      } catch (error) {
        failed.add(id);
        onFailed(resource.name, id, error);
      }
    }
  return swept.difference(failed).size;
}
