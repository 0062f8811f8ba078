/** The columns of `ps`, and the same by the names that docker's `--format` has. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { SandboxState } from "@paddock/protocol";
import { MAIN_CONTAINER } from "./client/targets.ts";
import { mountSources } from "./mounts/mount-text.ts";
import { portsText } from "./network/published-port.ts";
import { limitsText, vmSizeText, waitingText } from "./output/limits-text.ts";
import { formatAge } from "./output/quantities.ts";
import {
  containerStateText,
  containerStatusText,
  isolationText,
  sandboxStateText,
} from "./output/status-text.ts";
import { mountsOf, type SandboxRow } from "./sandbox-filter.ts";

/** How rows are shown. */
export type RowView = {
  readonly nowMs: number;
  /** Whether ids of images are cut. */
  readonly isShort: boolean;
};

type Cell = (row: SandboxRow, view: RowView) => string;

const SHORT_IMAGE_ID = 19;

const sandbox: Cell = ({ sandbox: { sandboxId } }) => sandboxId;
const container: Cell = (row) => row.container?.containerId ?? "-";
const node: Cell = ({ sandbox: { nodeId } }) => nodeId || "-";

const image: Cell = (row, { isShort }) => {
  if (!row.container) return "-";
  const { image: name, imageId } = row.container;
  return name || (isShort ? imageId.slice(0, SHORT_IMAGE_ID) : imageId);
};

const createdMs = (row: SandboxRow): number | undefined => {
  const createdAt = row.container?.createdAt ?? row.sandbox.status?.createdAt;
  return createdAt && timestampMs(createdAt);
};

const created: Cell = (row, { nowMs }) => {
  const atMs = createdMs(row);
  return atMs === undefined ? "-" : `${formatAge(nowMs - atMs)} ago`;
};

const createdAt: Cell = (row) => {
  const atMs = createdMs(row);
  return atMs === undefined ? "-" : new Date(atMs).toISOString();
};

const stateOf = ({ sandbox: { status } }: SandboxRow): string =>
  sandboxStateText(status?.state ?? SandboxState.UNSPECIFIED);

const status: Cell = (row, { nowMs }) =>
  row.container ? containerStatusText(row.container, nowMs) : stateOf(row);

const state: Cell = (row) =>
  (row.container ? containerStateText(row.container.state) : stateOf(row)).toLowerCase();

const ports: Cell = (row) => portsText(row.sandbox.status?.network?.publishedPorts ?? []);

const restarts: Cell = (row) => (row.container ? String(row.container.restartCount) : "-");

const vm: Cell = (row) => {
  const { status } = row.sandbox;
  const health = status?.health?.healthy === false ? " (unhealthy)" : "";
  const waiting = status && waitingText(status);
  return [`${stateOf(row)}${health}`, ...(waiting === undefined ? [] : [waiting])].join(", ");
};

const isolation: Cell = ({ sandbox: { status } }) => (status ? isolationText(status.isolation) : "-");
const limits: Cell = (row) => (row.container ? limitsText(row.container) : "-");
const size: Cell = ({ sandbox: { status } }) => (status ? vmSizeText(status) : "-");

/** What other commands take for the row: the container "main" goes by the name of its sandbox. */
const name: Cell = (row, view) =>
  row.container === undefined || row.container.containerId === MAIN_CONTAINER
    ? sandbox(row, view)
    : `${sandbox(row, view)}/${container(row, view)}`;

const labels: Cell = (row) =>
  Object.entries({ ...row.sandbox.spec?.labels, ...row.container?.labels })
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

const mounts: Cell = (row) => mountSources(mountsOf(row)).join(",");

export const COLUMNS: readonly (readonly [heading: string, cell: Cell])[] = [
  ["SANDBOX", sandbox],
  ["CONTAINER", container],
  ["IMAGE", image],
  ["CREATED", created],
  ["STATUS", status],
  ["PORTS", (...args) => ports(...args) || "-"],
  ["RESTARTS", restarts],
  ["VM", vm],
  ["NODE", node],
  ["ISOLATION", isolation],
];

export const LIMITS_COLUMNS: typeof COLUMNS = [...COLUMNS, ["LIMITS", limits], ["VM SIZE", size]];

/** The fields of `--format`. */
export const FIELDS: ReadonlyMap<string, Cell> = new Map([
  ["ID", sandbox],
  ["Name", name],
  ["Names", name],
  ["Sandbox", sandbox],
  ["Container", container],
  ["Image", image],
  ["CreatedAt", createdAt],
  ["RunningFor", created],
  ["Status", status],
  ["State", state],
  ["Ports", ports],
  ["Restarts", restarts],
  ["VM", vm],
  ["Node", node],
  ["Isolation", isolation],
  ["Limits", limits],
  ["Size", size],
  ["Labels", labels],
  ["Mounts", mounts],
]);
