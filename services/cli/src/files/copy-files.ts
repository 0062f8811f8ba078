/** A copy between this host and containers, or from one container to another. */
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { download, type FileAddress, upload } from "@paddock/client";
import { type CopyEnd, CopyFormat } from "@paddock/protocol";
import { CliError, usageError } from "../cli-error.ts";
import { CONNECTION_LOST, type CommandRun } from "../command-run.ts";
import { isTerminal } from "../output/terminal.ts";
import { type CopyOperand, type WrittenPath, writtenPath } from "./copy-operand.ts";
import { type CopySource, findCopySource, planCopy, resolvePlace } from "./copy-plan.ts";
import type { CopyTally } from "./copy-tally.ts";
import { EntryNames } from "./entry-names.ts";
import { extractTree } from "./extract-tree.ts";
import { packTree } from "./pack-tree.ts";
import { type ContainerPlace, containerPlace, lookHere, lookInside } from "./places.ts";
import { rebaseArchive } from "./rebase-archive.ts";

export type CopyOptions = {
  readonly source: CopyOperand;
  readonly destination: CopyOperand;
  /** Whether a symbolic link at the end of the source is followed. */
  readonly follow: boolean;
  /** Whether owners are kept. Otherwise files belong to root in a container, and to the caller here. */
  readonly keepOwners: boolean;
  readonly tally: CopyTally;
  /** Called with the bytes transferred so far. */
  readonly onProgress: (bytes: bigint) => void;
};

/** Throws `CliError`. `tally` has what was copied until then. */
export async function copyFiles(run: CommandRun, options: CopyOptions): Promise<void> {
  const { source, destination } = options;
  if (source.kind !== "remote" && destination.kind !== "remote")
    throw usageError("neither SRC nor DEST is in a sandbox", "write SANDBOX:PATH for one of them");
  const copy = { run, ...options };
  if (destination.kind === "stream") {
    if (source.kind === "remote") await toStdout(copy, source);
  } else if (source.kind === "stream") {
    if (destination.kind === "remote") await fromStdin(copy, destination);
  } else if (source.kind === "local") {
    if (destination.kind === "remote") await fromHere(copy, source.path, destination);
  } else if (destination.kind === "local") {
    await toHere(copy, source, destination.path);
  } else {
    await between(copy, source, destination);
  }
}

type Copy = CopyOptions & { readonly run: CommandRun };
type Remote = Extract<CopyOperand, { kind: "remote" }>;

async function toStdout(copy: Copy, remote: Remote): Promise<void> {
  const { run, tally } = copy;
  if (run.isJson) throw usageError("-o json and an archive on stdout exclude each other");
  if (isTerminal(run.around.stdout))
    throw usageError("an archive is not for a terminal", "send stdout to a file or a program");
  const { container, written } = await remoteSource(copy, remote);
  for await (const piece of downloaded(copy, container, written)) {
    await run.write(piece);
    tally.bytes += piece.length;
  }
}

async function fromStdin(copy: Copy, remote: Remote): Promise<void> {
  const { run, tally } = copy;
  const { container, written } = await remotePlace(copy, remote);
  const place = await resolvePlace(lookInside(run, container), written.path);
  if (place.kind !== "directory") throw new CliError(`${remote.target}:${written.path} is not a directory`);
  const end = await uploaded(copy, { ...addressOf(container), path: place.path }, bytesOf(run.around.stdin));
  tally.bytes = Number(end.totalBytes);
  tally.entries = Number(end.entries);
}

async function fromHere(copy: Copy, path: string, remote: Remote): Promise<void> {
  const written = writtenPath(path);
  const source = await findCopySource(lookHere, written, copy.follow);
  const target = await remoteTarget(copy, source, remote);
  const followed =
    copy.follow || written.isDirectory ? (await resolvePlace(lookHere, written.path)).path : written.path;
  const name = target.name === undefined ? undefined : byteString(target.name);
  await uploaded(copy, target.address, packTree(followed, { name, tally: copy.tally }));
}

async function toHere(copy: Copy, remote: Remote, path: string): Promise<void> {
  const { container, written, source } = await remoteSource(copy, remote);
  const writtenHere = writtenPath(path);
  const place = await resolvePlace(lookHere, writtenHere.path);
  const { directory, name } = planCopy(source, writtenHere, place);
  if ((await resolvePlace(lookHere, directory)).kind !== "directory")
    throw new CliError(`there is no directory "${directory}"`, { hint: "create it first" });
  await extractTree(downloaded(copy, container, written), {
    directory,
    names: new EntryNames(name === undefined ? undefined : byteString(name)),
    keepOwners: copy.keepOwners,
    tally: copy.tally,
  });
}

async function between(copy: Copy, from: Remote, to: Remote): Promise<void> {
  const { container, written, source } = await remoteSource(copy, from);
  const { address, name } = await remoteTarget(copy, source, to);
  const names = new EntryNames(name === undefined ? undefined : byteString(name));
  const archive = rebaseArchive(
    downloaded(copy, container, written, () => {}),
    { names, tally: copy.tally },
  );
  await uploaded(copy, address, archive);
}

async function remotePlace({ run }: Copy, { target, path }: Remote) {
  return { container: await containerPlace(run, target), written: writtenPath(path) };
}

async function remoteSource(copy: Copy, remote: Remote) {
  const { container, written } = await remotePlace(copy, remote);
  const source = await findCopySource(lookInside(copy.run, container), written, copy.follow);
  return { container, written, source };
}

/** The directory in a container that a copy is placed in, and the name that it gets there. */
async function remoteTarget(copy: Copy, source: CopySource, remote: Remote) {
  const { container, written } = await remotePlace(copy, remote);
  const look = lookInside(copy.run, container);
  const { directory, name } = planCopy(source, written, await resolvePlace(look, written.path));
  return { address: { ...addressOf(container), path: directory }, name };
}

const addressOf = ({ sandboxId, containerId }: ContainerPlace) => ({ sandboxId, containerId });

const byteString = (name: string): string => Buffer.from(name).toString("latin1");

async function* downloaded(
  copy: Copy,
  container: ContainerPlace,
  { path, isDirectory }: WrittenPath,
  onProgress = copy.onProgress,
): AsyncGenerator<Uint8Array> {
  const { run, follow, tally } = copy;
  try {
    const end = yield* download({
      ...transferOptions(run),
      source: { ...addressOf(container), path },
      format: CopyFormat.TAR,
      follow: follow || isDirectory,
      onProgress,
    });
    noteEnd(end, tally);
  } catch (error) {
    throw run.explain(error, { what: `copy from ${container.label}` });
  }
}

async function uploaded(
  { run, keepOwners, tally, onProgress }: Copy,
  destination: FileAddress,
  source: AsyncIterable<Uint8Array>,
): Promise<CopyEnd> {
  try {
    const end = await upload({
      ...transferOptions(run),
      destination,
      format: CopyFormat.TAR,
      source,
      ...(!keepOwners && { owner: { uid: 0, gid: 0 } }),
      onProgress,
    });
    noteEnd(end, tally);
    return end;
  } catch (error) {
    throw run.explain(error, { what: `copy to ${destination.sandboxId}` });
  }
}

function noteEnd(end: CopyEnd, tally: CopyTally): void {
  tally.skipped += Number(end.skipped);
  for (const warning of end.warnings) tally.warn(warning);
}

const transferOptions = (run: CommandRun) => ({
  client: run.api,
  sha256: createHash("sha256"),
  signal: run.signal,
  onNotice: (notice: string) => {
    if (notice === "connection_lost") run.warn(CONNECTION_LOST);
  },
});

async function* bytesOf(source: Readable): AsyncGenerator<Uint8Array> {
  for await (const piece of source) yield typeof piece === "string" ? Buffer.from(piece) : piece;
}
