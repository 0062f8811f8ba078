/**
 * Disks, network cards and shares, as QEMU describes each kind.
 *
 * A disk or a card has a backend, which is a file or a tap. The command line (cold) and QMP (plugged) take the same two objects,
 * so a new kind of device that can be plugged in is one entry of `BACKENDS` and one case of `deviceObjects`. A share is cold.
 */
import type { DeviceSpec, DiskSpec, InterfaceSpec, PluggedSpec, ShareSpec } from "./machine-spec.ts";
import { SCSI_CONTROLLER } from "./machine-spec.ts";
import type { JsonObject } from "./qmp-transport.ts";
import { check, id, integer, path } from "./spec-values.ts";

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const TAP = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/;
/** Most root ports that a machine has. */
export const MAX_PORTS = 16;
/** Slot of the root bus for the card without a port. Root ports are at 0x8 and 0x9, other devices below. */
const ROOT_BUS_SLOT = "0xa";
/** First slot of the root bus for shares, and how many a machine has at most. */
const FIRST_SHARE_SLOT = 0x10;
export const MAX_SHARES = 8;
/** Requests of the guest that may wait for the server; virtiofsd's own figure. */
const SHARE_QUEUE = 1024;

/** How backends of a kind are added and removed. */
type Backends = {
  readonly option: string;
  readonly add: string;
  readonly remove: string;
  /** Name of the argument of both that has the id. */
  readonly key: string;
};

export const BACKENDS: Readonly<Record<PluggedSpec["kind"], Backends>> = {
  disk: { option: "-blockdev", add: "blockdev-add", remove: "blockdev-del", key: "node-name" },
  interface: { option: "-netdev", add: "netdev_add", remove: "netdev_del", key: "id" },
};

/** The id of the device in QEMU. Its backend has the id of the spec. */
export const deviceId = (ofSpec: string): string => `${ofSpec}-dev`;

/** The two objects that describe a device to QEMU. Throws QemuError `invalid-spec`. */
export function deviceObjects(spec: PluggedSpec): { backend: JsonObject; device: JsonObject } {
  id(spec.id);
  switch (spec.kind) {
    case "disk":
      return { backend: blockNode(spec), device: scsiDisk(spec) };
    case "interface":
      return { backend: tapBackend(spec), device: networkCard(spec) };
    default:
      return spec satisfies never;
  }
}

/** The arguments for a device that a machine has from its start. */
export function deviceArguments(spec: DeviceSpec): string[] {
  if (spec.kind === "share") return shareArguments(spec);
  const { backend, device } = deviceObjects(spec);
  return [BACKENDS[spec.kind].option, JSON.stringify(backend), "-device", JSON.stringify(device)];
}

/** The server listens already, so QEMU connects once. `-chardev` takes no JSON. */
function shareArguments({ id: name, tag, socket, place }: ShareSpec): string[] {
  const slot = FIRST_SHARE_SLOT + integer(place, 0, MAX_SHARES - 1, "place of a share");
  const device: JsonObject = {
    driver: "vhost-user-fs-pci",
    id: deviceId(name),
    chardev: id(name),
    tag: id(tag),
    "queue-size": SHARE_QUEUE,
    bus: "pcie.0",
    addr: `0x${slot.toString(16)}`,
  };
  return ["-chardev", `socket,id=${name},path=${path(socket)}`, "-device", JSON.stringify(device)];
}

/** Discards of the guest punch holes in the file. Writes are not scanned for zeros, because that would slow down each write. */
function blockNode(spec: DiskSpec): JsonObject {
  path(spec.path);
  const common = { "read-only": spec.readOnly, ...(!spec.readOnly && { discard: "unmap" }) };
  return {
    driver: "raw",
    "node-name": spec.id,
    ...common,
    // QEMU refuses either kind of file under the other's driver.
    file: { driver: spec.isBlockDevice ? "host_device" : "file", filename: spec.path, ...common },
  };
}

function scsiDisk(spec: DiskSpec): JsonObject {
  return {
    driver: "scsi-hd",
    id: deviceId(spec.id),
    bus: `${SCSI_CONTROLLER}.0`,
    drive: spec.id,
    channel: 0,
    "scsi-id": integer(spec.target, 0, 255, "SCSI target"),
    lun: 0,
    // Shown to the guest (VPD page 0x80).
    serial: spec.id,
    // When the host's disk is full, the machine stops (RunState "io-error"), and `cont` retries the write. Other errors are
    // reported to the guest.
    werror: "enospc",
  };
}

/** No script runs. Without vhost, because a guest would then talk to the host's kernel. */
function tapBackend(spec: InterfaceSpec): JsonObject {
  check(TAP.test(spec.tap), `"${spec.tap}" is not an interface name`);
  return { type: "tap", id: spec.id, ifname: spec.tap, script: "no", downscript: "no", vhost: false };
}

function networkCard(spec: InterfaceSpec): JsonObject {
  check(MAC.test(spec.mac), `"${spec.mac}" is not a MAC address in lower case`);
  return {
    driver: "virtio-net-pci",
    id: deviceId(spec.id),
    netdev: spec.id,
    mac: spec.mac,
    ...cardPlace(spec),
    // No boot ROM: nothing boots from the network.
    romfile: "",
  };
}

/** The guest looks only at address 0 behind a root port. Without an address, QEMU would put a second card beside the first. */
const cardPlace = ({ port }: InterfaceSpec): { readonly bus: string; readonly addr: string } =>
  port === undefined
    ? { bus: "pcie.0", addr: ROOT_BUS_SLOT }
    : { bus: `port${integer(port, 0, MAX_PORTS - 1, "network port")}`, addr: "0x0" };
