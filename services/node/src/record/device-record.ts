/** A device of a sandbox in its record. */

/** A block device or an image file of the host. */
export type HostSource = {
  /** Absolute, below a directory that the operator allows. */
  readonly path: string;
  readonly readOnly: boolean;
  /** "block MAJOR:MINOR" or "file MAJOR:MINOR INODE", as it was when the VM got it. */
  readonly identity: string;
  /** The identity of the whole disk of a partition; otherwise the same as `identity`. */
  readonly whole: string;
  readonly sizeBytes: number;
};

/** Devices with the same source have the same target: they are one disk of the VM. */
export type DeviceRecord = {
  /** Unique in the sandbox. */
  readonly deviceId: string;
  /** Request that added it. */
  readonly requestId: string;
  readonly source: HostSource;
  /** Address on the guest's SCSI controller. */
  readonly target: number;
  /** Container with the device file; undefined means only the guest. */
  readonly file?: DeviceFile;
};

/** A device file in a container. */
export type DeviceFile = {
  readonly containerId: string;
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
};

/** The record of a sandbox is bounded, and so is the number of its devices. */
export const MAX_DEVICES = 32;
