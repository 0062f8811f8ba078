/** Volumes that a command line names: those that a new container mounts, and those that commands act on. */
import { listAllVolumes, newRequestId } from "@paddock/client";
import type { ErrorKind } from "@paddock/domain";
import type { Volume } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import type { CommandRun } from "../command-run.ts";
import type { MountInit } from "../mounts/mount-place.ts";
import { printable } from "../output/printable.ts";
import { formatBytes } from "../output/quantities.ts";
import { closest } from "./closest.ts";
import { warnOfMissing } from "./targets.ts";

/** The label of a volume whose name was generated, which `volume prune` deletes without --all. */
export const ANONYMOUS_LABEL = "paddock.anonymous";

const NOT_FOUND: ReadonlySet<ErrorKind> = new Set<ErrorKind>(["not_found"]);
const EXISTS: ReadonlySet<ErrorKind> = new Set<ErrorKind>(["already_exists"]);

/** All volumes. Warns the user about nodes that do not answer. Throws `CliError`. */
export async function listVolumes(run: CommandRun): Promise<readonly Volume[]> {
  const { volumes, unreachableNodes } = await run.call({ what: "list the volumes" }, listAllVolumes);
  warnOfMissing(run, unreachableNodes, "volumes there are missing from this list");
  return volumes;
}

/** The volume with that name. Throws `CliError`. */
export async function findVolume(run: CommandRun, name: string): Promise<Volume> {
  const found = await lookUpVolume(run, name);
  if (found) return found;
  const names = (await listVolumes(run)).map((volume) => volume.name);
  const similar = closest(name, names);
  throw new CliError(`there is no volume "${name}"`, {
    hint: similar === undefined ? 'see "paddock volume ls"' : `did you mean ${printable(similar)}?`,
  });
}

async function lookUpVolume(run: CommandRun, name: string): Promise<Volume | undefined> {
  const answer = await run.callUnless(NOT_FOUND, { what: `find volume "${name}"` }, (api, call) =>
    api.volumes.getVolume({ name }, call),
  );
  return answer?.volume;
}

/** Deletes a volume. `mayBeMissing`: it is no failure if there is none. Throws `CliError`. */
export async function deleteVolume(
  run: CommandRun,
  name: string,
  { mayBeMissing }: { readonly mayBeMissing: boolean },
): Promise<void> {
  const requestId = newRequestId("cli");
  const ignored = mayBeMissing ? NOT_FOUND : NOTHING;
  await run.callUnless(ignored, { what: `delete volume "${printable(name)}"`, requestId }, (api, call) =>
    api.volumes.deleteVolume({ requestId, name }, call),
  );
}

const NOTHING: ReadonlySet<ErrorKind> = new Set();

/**
 * Creates the volumes among the mounts that do not exist, and tells the user. All volumes of a sandbox are on its node, so they
 * are created on the node of the sandbox, which `nodeOf` finds, or else on that of the first one that exists. Throws `CliError`.
 */
export async function createMissingVolumes(
  run: CommandRun,
  mounts: readonly MountInit[],
  nodeOf: () => Promise<string | undefined>,
): Promise<void> {
  const names = new Set(
    mounts.flatMap(({ source }) =>
      source.case === "volume" && source.value.name !== undefined ? [source.value.name] : [],
    ),
  );
  const missing: string[] = [];
  let node = names.size === 0 ? undefined : await nodeOf();
  for (const name of names) {
    const found = await lookUpVolume(run, name);
    if (found === undefined) missing.push(name);
    else node ||= found.nodeId;
  }
  for (const name of missing) {
    const created = await createVolume(run, name, node);
    node ||= created?.nodeId;
  }
}

/** Undefined if another client has created the volume in the meantime. */
async function createVolume(run: CommandRun, name: string, nodeId = ""): Promise<Volume | undefined> {
  const requestId = newRequestId("cli");
  const created = await run.callUnless(EXISTS, { what: `create volume "${name}"`, requestId }, (api, call) =>
    api.volumes.createVolume({ requestId, name, nodeId }, call),
  );
  const volume = created?.volume;
  if (volume) run.progress.note(`created volume ${name} (${formatBytes(volume.sizeBytes)})`);
  return volume;
}
