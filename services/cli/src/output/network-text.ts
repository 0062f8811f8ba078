/** Interfaces, rates and refused packets as cells of tables. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Bandwidth, NetworkInterface, RefusedPacket } from "@paddock/protocol";
import { printable } from "./printable.ts";
import { formatBytes } from "./quantities.ts";

export const INTERFACE_HEADING = ["SANDBOX", "INTERFACE", "NAME", "ADDRESSES", "MAC", "MTU"];

export const interfaceRow = (sandboxId: string, each: NetworkInterface): string[] =>
  [
    sandboxId,
    each.interfaceId,
    each.name || "-",
    each.addresses.join(", ") || "-",
    each.macAddress || "-",
    each.mtu === 0 ? "-" : String(each.mtu),
  ].map(printable);

/** "out 10.0MiB/s, in none". */
export function bandwidthText(bandwidth: Bandwidth | undefined): string {
  const rate = (bytes: bigint | undefined) => (bytes ? `${formatBytes(bytes)}/s` : "none");
  return `out ${rate(bandwidth?.sendBytesPerSecond)}, in ${rate(bandwidth?.receiveBytesPerSecond)}`;
}

export const REFUSED_HEADING = ["TIME", "SOURCE", "DESTINATION", "PROTOCOL", "PORT", "PACKETS"];

export const refusedRow = ({ time, source, destination, protocol, port, packets }: RefusedPacket): string[] =>
  [
    time ? new Date(timestampMs(time)).toISOString() : "-",
    source || "-",
    destination || "-",
    protocol || "-",
    port === 0 ? "-" : String(port),
    String(packets),
  ].map(printable);
