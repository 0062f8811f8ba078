/**
 * The identity of a guest: fresh entropy, the host's time, hostname, name resolution. It is given at boot, before any tenant's code
 * runs, and again after a pause: a guest whose vCPUs stood still has a clock that did too.
 */
import { randomBytes } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { agentpb } from "@paddock/protocol";
import type { AgentClient } from "../agent/connect-agent.ts";
import { guestHostname } from "../record/guest-hostname.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";

const TIMEOUT_MS = 10_000;

/** Gives the guest its identity; answers with what the guest says of itself. */
export async function configureGuest(
  { sandbox }: Pick<AgentClient, "sandbox">,
  record: SandboxRecord,
  nowMs: number,
  signal: AbortSignal,
): Promise<agentpb.Guest | undefined> {
  const options = { signal, timeoutMs: TIMEOUT_MS };
  const { guest } = await sandbox.configureSandbox(identity(record, nowMs), options);
  return guest;
}

type ConfigureRequest = Omit<agentpb.ConfigureSandboxRequest, "$typeName" | "dns"> & {
  dns: { nameservers: string[]; searches: string[]; options: string[] };
};

function identity({ sandboxId, spec }: SandboxRecord, nowMs: number): ConfigureRequest {
  const { nameservers = [], searches = [], options = [] } = spec.dns ?? {};
  return {
    entropy: randomBytes(256),
    time: timestampFromMs(nowMs),
    hostname: spec.hostname || guestHostname(sandboxId),
    dns: { nameservers, searches, options },
    sandboxId,
    shmSizeBytes: spec.shmSizeBytes,
    sharePidNamespace: spec.sharePidNamespace,
  };
}
