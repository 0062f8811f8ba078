/** Creates and removes containers together with their sandboxes. */
import { PaddockError } from "@paddock/domain";
import { type ContainerStatus, Isolation, type Sandbox } from "@paddock/protocol";
import { CliError } from "./cli-error.ts";
import { type CommandRun, newCliRequestId } from "./command-run.ts";
import { type ContainerOptions, type ContainerPlace, containerSpec } from "./container-options.ts";
import { printable } from "./output/printable.ts";
import { formatSpan } from "./output/quantities.ts";
import { vmResources } from "./vm-options.ts";

export type NewContainer = {
  readonly options: ContainerOptions;
  readonly place: ContainerPlace;
  readonly image: string;
  readonly args: readonly string[];
};

/** Throws a usage error when options contradict each other. */
function specsOf(run: CommandRun, { options, place, image, args }: NewContainer) {
  const container = containerSpec(run, options, { containerId: place.containerId, image, args });
  const resources = vmResources(options, place.isNewSandbox);
  return { container, sandbox: { containers: [container], ...(resources && { resources }) } };
}

/** Creates and starts a container, in a new sandbox or in an existing one. Returns its status, if the api sent it. */
export async function runContainer(
  run: CommandRun,
  container: NewContainer,
): Promise<ContainerStatus | undefined> {
  const { place } = container;
  const { sandbox: spec } = specsOf(run, container);
  if (!place.isNewSandbox) {
    await createInSandbox(run, container);
    return startContainer(run, place);
  }
  const requestId = newCliRequestId();
  const what = `run "${printable(container.image)}"`;
  const { sandbox: created } = await run.progress.phase(
    `booting sandbox ${place.sandboxId}`,
    () =>
      run.call({ what, requestId }, (api, options) =>
        api.sandboxes.runSandbox({ requestId, sandboxId: place.sandboxId, spec }, options),
      ),
    ({ sandbox }) => `sandbox ${place.sandboxId} runs${bootText(sandbox)}`,
  );
  return created?.status?.containers.find(({ containerId }) => containerId === place.containerId);
}

/** Creates a container without starting it. */
export async function createContainer(run: CommandRun, container: NewContainer): Promise<void> {
  const { place } = container;
  if (!place.isNewSandbox) return createInSandbox(run, container);
  const { sandbox: spec } = specsOf(run, container);
  const requestId = newCliRequestId();
  const what = `create a sandbox for "${printable(container.image)}"`;
  await run.progress.phase(
    `booting sandbox ${place.sandboxId}`,
    () =>
      run.call({ what, requestId }, (api, options) =>
        api.sandboxes.createSandbox({ requestId, sandboxId: place.sandboxId, spec }, options),
      ),
    ({ sandbox }) => `sandbox ${place.sandboxId} is ready${bootText(sandbox)}`,
  );
}

async function createInSandbox(run: CommandRun, container: NewContainer): Promise<void> {
  const { sandboxId, containerId } = container.place;
  const { container: spec } = specsOf(run, container);
  const requestId = newCliRequestId();
  await run.progress.phase(
    `creating container ${containerId} in sandbox ${sandboxId}`,
    () =>
      run.call(
        { what: `create container "${containerId}" in sandbox "${sandboxId}"`, requestId },
        (api, options) => api.containers.createContainer({ requestId, sandboxId, spec }, options),
      ),
    () => `created container ${containerId} in sandbox ${sandboxId}`,
  );
}

async function startContainer(
  run: CommandRun,
  { sandboxId, containerId }: ContainerPlace,
): Promise<ContainerStatus | undefined> {
  const requestId = newCliRequestId();
  const { container } = await run.call(
    { what: `start container "${sandboxId}/${containerId}"`, requestId },
    (api, options) => api.containers.startContainer({ requestId, sandboxId, containerId }, options),
  );
  return container;
}

/** Removes what `run` created, in any state. It is no error when it does not exist. */
export async function removePlace(run: CommandRun, place: ContainerPlace): Promise<void> {
  try {
    if (place.isNewSandbox) await deleteSandbox(run, place.sandboxId, true);
    else await deleteContainer(run, place.sandboxId, place.containerId, true);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

export async function deleteSandbox(run: CommandRun, sandboxId: string, force: boolean): Promise<void> {
  const requestId = newCliRequestId();
  await run.call({ what: `delete sandbox "${sandboxId}"`, requestId }, (api, options) =>
    api.sandboxes.deleteSandbox({ requestId, sandboxId, force }, options),
  );
}

export async function deleteContainer(
  run: CommandRun,
  sandboxId: string,
  containerId: string,
  force: boolean,
): Promise<void> {
  const requestId = newCliRequestId();
  await run.call({ what: `delete container "${sandboxId}/${containerId}"`, requestId }, (api, options) =>
    api.containers.deleteContainer({ requestId, sandboxId, containerId, force }, options),
  );
}

const isNotFound = (error: unknown): boolean =>
  error instanceof CliError && error.cause instanceof PaddockError && error.cause.kind === "not_found";

function bootText(sandbox: Sandbox | undefined): string {
  const boot = sandbox?.status?.bootDuration;
  if (!boot) return "";
  const by = sandbox.status?.isolation === Isolation.KVM ? "" : " by emulation";
  return `, VM booted${by} in ${formatSpan(Number(boot.seconds) * 1000 + boot.nanos / 1e6)}`;
}
