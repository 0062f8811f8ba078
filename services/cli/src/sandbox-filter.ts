/** `ps --filter KEY=VALUE` with the keys of docker. A row is shown when it matches one value of each key given. */
import {
  ContainerState,
  type ContainerStatus,
  type MountSpec,
  type Sandbox,
  SandboxState,
} from "@paddock/protocol";
import { usageError } from "./cli-error.ts";
import { isShortFor } from "./client/generated-id.ts";
import { mountSources } from "./mounts/mount-text.ts";

/** A row of `ps`: a sandbox with one of its containers, or with none. */
export type SandboxRow = { readonly sandbox: Sandbox; readonly container: ContainerStatus | undefined };

/** `ids` are the ids of all sandboxes. */
type Test = (row: SandboxRow, value: string, ids: ReadonlySet<string>) => boolean;

export type SandboxFilter = {
  /** Whether a row matches. `ids` are the ids of all sandboxes. */
  readonly isMet: (row: SandboxRow, ids: ReadonlySet<string>) => boolean;
  /** Whether it selects states. */
  readonly hasStatus: boolean;
};

const STATUSES: Readonly<Record<string, (row: SandboxRow) => boolean>> = {
  created: (row) => stateOf(row) === ContainerState.READY,
  ready: (row) => stateOf(row) === ContainerState.READY,
  running: (row) => stateOf(row) === ContainerState.RUNNING && !isPaused(row),
  up: (row) => stateOf(row) === ContainerState.RUNNING && !isPaused(row),
  paused: (row) => stateOf(row) === ContainerState.PAUSED || isPaused(row),
  exited: (row) => stateOf(row) === ContainerState.STOPPED,
  stopped: (row) => stateOf(row) === ContainerState.STOPPED,
  unhealthy: ({ sandbox }) => sandbox.status?.health?.healthy === false,
};

const TESTS: Readonly<Record<string, Test>> = {
  status: (row, value) => STATUSES[value.toLowerCase()]?.(row) === true,
  id: ({ sandbox: { sandboxId } }, value, ids) =>
    ids.has(value) ? sandboxId === value : isShortFor(value, sandboxId),
  name: ({ sandbox, container }, value) =>
    sandbox.sandboxId.includes(value) || (container?.containerId ?? "").includes(value),
  image: ({ container }, value) => isImage(container, value),
  ancestor: ({ container }, value) => isImage(container, value),
  node: ({ sandbox }, value) => sandbox.nodeId === value,
  label: ({ sandbox, container }, value) =>
    [sandbox.spec?.labels ?? {}, container?.labels ?? {}].some((labels) => hasLabel(labels, value)),
  volume: (row, value) => {
    const mounts = mountsOf(row);
    return mountSources(mounts).includes(value) || mounts.some(({ destination }) => destination === value);
  },
  exited: (row, value) =>
    stateOf(row) === ContainerState.STOPPED && String(row.container?.exitStatus?.code ?? "") === value,
};

export function parseFilter(texts: readonly string[]): SandboxFilter {
  const values = new Map<string, string[]>();
  for (const text of texts) {
    const at = text.indexOf("=");
    const [key, value] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    if (!Object.hasOwn(TESTS, key) || value === "")
      throw usageError(
        `"${text}" is not a filter`,
        `write KEY=VALUE with one of ${Object.keys(TESTS).join(", ")}`,
      );
    if (key === "status" && !Object.hasOwn(STATUSES, value.toLowerCase()))
      throw usageError(`"${value}" is not a status`, `write one of ${Object.keys(STATUSES).join(", ")}`);
    values.set(key, [...(values.get(key) ?? []), value]);
  }
  const wanted = [...values];
  return {
    // Each label is a separate condition.
    isMet: (row, ids) =>
      wanted.every(([key, given]) =>
        key === "label"
          ? given.every((value) => TESTS[key]?.(row, value, ids))
          : given.some((value) => TESTS[key]?.(row, value, ids)),
      ),
    hasStatus: values.has("status") || values.has("exited"),
  };
}

export function rowsOf(sandbox: Sandbox): SandboxRow[] {
  const containers = sandbox.status?.containers ?? [];
  if (containers.length === 0) return [{ sandbox, container: undefined }];
  return containers.map((container) => ({ sandbox, container }));
}

/** The mounts of the row's container. */
export const mountsOf = ({ sandbox, container }: SandboxRow): readonly MountSpec[] =>
  sandbox.spec?.containers.find((each) => each.containerId === container?.containerId)?.mounts ?? [];

/** The state of the container, or of a sandbox without containers. */
function stateOf({ sandbox, container }: SandboxRow): ContainerState {
  if (container) return container.state;
  switch (sandbox.status?.state) {
    case SandboxState.RUNNING:
      return ContainerState.RUNNING;
    case SandboxState.STOPPED:
      return ContainerState.STOPPED;
    case SandboxState.READY:
      return ContainerState.READY;
    default:
      return ContainerState.UNSPECIFIED;
  }
}

const isPaused = ({ sandbox }: SandboxRow): boolean => sandbox.status?.state === SandboxState.PAUSED;

/** Matches a name with or without its tag, or a prefix of the id. */
function isImage(container: ContainerStatus | undefined, value: string): boolean {
  if (!container) return false;
  const { image, imageId } = container;
  return (
    image === value ||
    image.replace(/:[^:/]*$/, "") === value ||
    (value.length >= 4 && (imageId.startsWith(value) || imageId.startsWith(`sha256:${value}`)))
  );
}

/** Whether there is a label KEY, or KEY=VALUE. */
export function hasLabel(labels: Readonly<Record<string, string>>, text: string): boolean {
  const at = text.indexOf("=");
  if (at < 0) return Object.hasOwn(labels, text);
  const key = text.slice(0, at);
  return Object.hasOwn(labels, key) && labels[key] === text.slice(at + 1);
}
