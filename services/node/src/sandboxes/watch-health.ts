/**
 * Asks a guest now and then whether it is there, and records when the answer changes.
 *
 * A kernel that hangs keeps its end of the link open and says nothing, so a broken link is no measure. A paused guest is not asked:
 * its vCPUs are stopped, and silence says nothing of it.
 */
import { setTimeout as pause } from "node:timers/promises";
import { PaddockError } from "@paddock/domain";
import { guestText } from "../agent/guest-text.ts";
import type { NodeLog } from "../node-log.ts";
import type { Attachment, SandboxEntry } from "./sandbox-entry.ts";

export type HealthOptions = {
  /** Time between two questions, in milliseconds. */
  readonly intervalMs?: number;
  /** Time a guest has to answer, in milliseconds. Emulation on a busy host is slow. */
  readonly patienceMs?: number;
};

const MAX_DETAIL = 256;

/** Runs until the sandbox is detached from this VM. Never throws. */
export async function watchHealth(
  entry: SandboxEntry,
  { link, lifetime }: Attachment,
  log: Pick<NodeLog, "error" | "warn" | "info">,
  { intervalMs = 10_000, patienceMs = 10_000 }: HealthOptions = {},
): Promise<void> {
  for (;;) {
    await pause(intervalMs, undefined, { signal: lifetime }).catch(() => undefined);
    if (lifetime.aborted) return;
    if (isPaused(entry)) continue;
    const problem = await problemOf(link, lifetime, patienceMs);
    // Pausing may have come between the question and its answer.
    if (lifetime.aborted) return;
    if (problem !== undefined && isPaused(entry)) continue;
    try {
      if (problem === undefined) recordHealthy(entry, log);
      else recordUnhealthy(entry, problem, log);
    } catch (error) {
      log.error({ sandbox: entry.sandboxId, err: error }, "a guest's health could not be written down");
    }
  }
}

const isPaused = ({ record }: SandboxEntry): boolean => record.phase.kind === "paused";

async function problemOf(
  link: Attachment["link"],
  lifetime: AbortSignal,
  patienceMs: number,
): Promise<string | undefined> {
  try {
    const signal = AbortSignal.any([lifetime, AbortSignal.timeout(patienceMs)]);
    const client = await link.client({ signal });
    await client.sandbox.getGuest({}, { signal });
    return undefined;
  } catch (error) {
    const isLate =
      !(error instanceof PaddockError) || error.kind === "cancelled" || error.reason === "DEADLINE";
    if (isLate) return `the guest did not answer within ${patienceMs} ms`;
    return guestText(error.message, MAX_DETAIL);
  }
}

function recordUnhealthy(entry: SandboxEntry, problem: string, log: Pick<NodeLog, "warn">): void {
  if (entry.record.unhealthy !== undefined) return;
  log.warn({ sandbox: entry.sandboxId, problem }, "a guest does not answer");
  entry.update((record) => ({ ...record, unhealthy: problem }));
}

function recordHealthy(entry: SandboxEntry, log: Pick<NodeLog, "info">): void {
  if (entry.record.unhealthy === undefined) return;
  log.info({ sandbox: entry.sandboxId }, "a guest answers again");
  entry.update(({ unhealthy: _, ...record }) => record);
}
