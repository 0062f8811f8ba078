/** Devices as cells of tables. */
import type { Device } from "@paddock/protocol";
import { printable } from "./printable.ts";
import { formatBytes } from "./quantities.ts";

export const DEVICE_HEADING = ["SANDBOX", "DEVICE", "SOURCE", "ACCESS", "SIZE", "CONTAINER", "PATH"];

export const deviceRow = (sandboxId: string, each: Device): string[] =>
  [
    sandboxId,
    each.deviceId,
    sourceText(each),
    isReadOnly(each) ? "ro" : "rw",
    each.sizeBytes === 0n ? "-" : formatBytes(each.sizeBytes),
    each.containerId || "-",
    each.containerPath || "-",
  ].map(printable);

function sourceText({ source }: Device): string {
  switch (source.case) {
    case "hostDevice":
      return source.value.path;
    case "volume":
      return `volume ${source.value.name}`;
    case "vfio":
      return source.value.pciAddress;
    case undefined:
      return "-";
    default:
      return source satisfies never;
  }
}

const isReadOnly = ({ source }: Device): boolean =>
  (source.case === "hostDevice" || source.case === "volume") && source.value.readOnly;
