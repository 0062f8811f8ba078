/** Creates and removes containers together with their sandboxes. */
import { type ErrorKind, PaddockError } from "@paddock/domain";
import {
  type ContainerStatus,
  type CreateSandboxResponse,
  Isolation,
  type RunSandboxResponse,
  type Sandbox,
} from "@paddock/protocol";
import { CliError } from "./cli-error.ts";
import { createMissingVolumes } from "./client/volumes.ts";
import type { CommandRun } from "./command-run.ts";
import { type ContainerOptions, type ContainerPlace, containerSpec, newPlace } from "./container-options.ts";
import { isImagePath } from "./image-source.ts";
import { importImage } from "./import-image.ts";
import { sharedMemory } from "./mount-options.ts";
import { networkParts } from "./network-options.ts";
import { printable } from "./output/printable.ts";
import { formatSpan } from "./output/quantities.ts";
import { vmResources } from "./vm-options.ts";

/** A container as the command line describes it, and where it goes. */
export type NewContainer = {
  readonly place: ContainerPlace;
  readonly image: string;
  readonly container: ReturnType<typeof containerSpec>;
  /** What a new sandbox has besides the container. */
  readonly sandbox: ReturnType<typeof vmResources> &
    ReturnType<typeof networkParts> &
    ReturnType<typeof sharedMemory>;
};

/** Reads all options. Throws a usage error when one is wrong or they contradict each other: nothing was sent or made yet. */
export function newContainer(
  run: CommandRun,
  options: ContainerOptions,
  { image, args }: { readonly image: string; readonly args: readonly string[] },
): NewContainer {
  const place = newPlace(options);
  return {
    place,
    image,
    container: containerSpec(run, options, { containerId: place.containerId, args }),
    sandbox: {
      ...vmResources(options, place.isNewSandbox),
      ...networkParts(options, place.isNewSandbox),
      ...sharedMemory(options, place.isNewSandbox),
    },
  };
}

/** The same with the id of its image, which is imported first when it is an archive. Volumes that it lacks are created. */
export async function prepared(run: CommandRun, wanted: NewContainer): Promise<NewContainer> {
  const image = isImagePath(wanted.image) ? (await importImage(run, wanted.image)).imageId : wanted.image;
  await createMissingVolumes(run, wanted.container.mounts, () => nodeOf(run, wanted.place));
  return { ...wanted, image };
}

/** The node of the sandbox that gets the container; undefined if it is a new one. */
async function nodeOf(run: CommandRun, place: ContainerPlace): Promise<string | undefined> {
  if (place.isNewSandbox) return undefined;
  const { sandboxId } = place;
  const { sandbox } = await run.call({ what: `find sandbox "${printable(sandboxId)}"` }, (api, call) =>
    api.sandboxes.getSandbox({ sandboxId }, call),
  );
  return sandbox?.nodeId;
}

/** Creates and starts a container, in a new sandbox or in an existing one. Returns its status, if the api sent it. */
export async function runContainer(
  run: CommandRun,
  container: NewContainer,
): Promise<ContainerStatus | undefined> {
  const { sandboxId, containerId, isNewSandbox } = container.place;
  if (!isNewSandbox) {
    await createInSandbox(run, container);
    const what = `start container "${sandboxId}/${containerId}"`;
    const started = await run.change({ what }, (api, requestId, call) =>
      api.containers.startContainer({ requestId, sandboxId, containerId }, call),
    );
    return started.container;
  }
  const spec = sandboxOf(container);
  const { sandbox: created } = await run.change(
    {
      what: `run "${printable(container.image)}"`,
      doing: `booting sandbox ${sandboxId}`,
      done: ({ sandbox }: RunSandboxResponse) => `sandbox ${sandboxId} is running${bootText(sandbox)}`,
    },
    (api, requestId, call) => api.sandboxes.runSandbox({ requestId, sandboxId, spec }, call),
  );
  return created?.status?.containers.find((each) => each.containerId === containerId);
}

/** Creates a container without starting it. */
export async function createContainer(run: CommandRun, container: NewContainer): Promise<void> {
  const { sandboxId, isNewSandbox } = container.place;
  if (!isNewSandbox) return createInSandbox(run, container);
  const spec = sandboxOf(container);
  await run.change(
    {
      what: `create a sandbox for "${printable(container.image)}"`,
      doing: `booting sandbox ${sandboxId}`,
      done: ({ sandbox }: CreateSandboxResponse) => `sandbox ${sandboxId} is ready${bootText(sandbox)}`,
    },
    (api, requestId, call) => api.sandboxes.createSandbox({ requestId, sandboxId, spec }, call),
  );
}

async function createInSandbox(run: CommandRun, container: NewContainer): Promise<void> {
  const { sandboxId, containerId } = container.place;
  const spec = containerOf(container);
  await run.change(
    {
      what: `create container "${containerId}" in sandbox "${sandboxId}"`,
      doing: `creating container ${containerId} in sandbox ${sandboxId}`,
      done: () => `created container ${containerId} in sandbox ${sandboxId}`,
    },
    (api, requestId, call) => api.containers.createContainer({ requestId, sandboxId, spec }, call),
  );
}

const containerOf = ({ container, image }: NewContainer) => ({ ...container, image });

const sandboxOf = (wanted: NewContainer) => ({ ...wanted.sandbox, containers: [containerOf(wanted)] });

/** Removes the objects that `run` created, in any state. Succeeds if they do not exist. */
export async function removePlace(run: CommandRun, place: ContainerPlace): Promise<void> {
  const { sandboxId, containerId, isNewSandbox } = place;
  try {
    if (isNewSandbox) return await deleteSandbox(run, sandboxId);
    const what = `delete container "${sandboxId}/${containerId}"`;
    await run.change({ what }, (api, requestId, call) =>
      api.containers.deleteContainer({ requestId, sandboxId, containerId, force: true }, call),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Deletes a sandbox in any state. */
export async function deleteSandbox(run: CommandRun, sandboxId: string): Promise<void> {
  await run.change({ what: `delete sandbox "${sandboxId}"` }, (api, requestId, call) =>
    api.sandboxes.deleteSandbox({ requestId, sandboxId, force: true }, call),
  );
}

const isNotFound = (error: unknown): boolean => kindOf(error) === "not_found";

/** Whether a failure says that the name belongs to a sandbox or a container that was there before. */
export const isNameTaken = (error: unknown): boolean => kindOf(error) === "already_exists";

const kindOf = (error: unknown): ErrorKind | undefined =>
  error instanceof CliError && error.cause instanceof PaddockError ? error.cause.kind : undefined;

function bootText(sandbox: Sandbox | undefined): string {
  const boot = sandbox?.status?.bootDuration;
  if (!boot) return "";
  const by = sandbox.status?.isolation === Isolation.KVM ? "" : " by emulation";
  return `, VM booted${by} in ${formatSpan(Number(boot.seconds) * 1000 + boot.nanos / 1e6)}`;
}
