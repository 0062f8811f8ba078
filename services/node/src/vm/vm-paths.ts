/**
 * Paths of a VM's files. All paths follow from the id of the VM.
 *
 *     <state>/vms/<vm id>/               root, the VM's group, 0710: QEMU opens its files but cannot change names
 *         qmp.sock agent.sock tty.sock   root; QEMU inherits them as descriptors
 *         state.sock                     root; receives the machine's state while it is saved
 *         share<index>.sock              the VM's user, 0600; virtiofsd inherits it as a descriptor
 *         share<index>                   only in the mount namespace of that virtiofsd: the directory it serves
 *         <index>.ext4                   writable layers; the VM's user, 0600
 *         <index>.ext4.new               a writable layer during its creation; root until it is renamed
 *         volume-<target>.ext4           link of a volume; the VM's user, 0600, or root, 0444 if the VM only reads it
 *         disk<target>                   device file of a block device of the host; root and the VM's group
 *         disk<target>.source            identity of what is behind it; exists before the device and longer; root
 *
 * The id is 16 hexadecimal digits, because the path of a unix socket holds 107 characters. It also names the cgroup.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";

/** Names one virtual machine of a node. The node generates it, independently of the sandbox. */
export type VmId = string & { readonly __id: "vm" };

const isVmId = (text: string): text is VmId => /^[0-9a-f]{16}$/.test(text);

/** The id of a VM, or undefined when `text` is not one. */
export const parseVmId = (text: string): VmId | undefined => (isVmId(text) ? text : undefined);

/** A new unique id. */
export function newVmId(): VmId {
  const id = parseVmId(randomBytes(8).toString("hex"));
  if (id === undefined) throw new Error("8 bytes are 16 hexadecimal digits");
  return id;
}

export type VmPaths = {
  readonly id: VmId;
  readonly dir: string;
  readonly qmpSocket: string;
  readonly agentSocket: string;
  /** The guest's serial console. */
  readonly serialSocket: string;
  readonly stateSocket: string;
};

/** The directory of all VMs of a state directory. */
export const vmsDir = (stateDir: string): string => join(stateDir, "vms");

/** The directory in which an earlier version kept its VMs: each in `vm` of its sandbox's directory. */
export const formerVmsDir = (stateDir: string): string => join(stateDir, "sandboxes");

/** The paths of a VM. */
export function vmPaths(stateDir: string, id: VmId): VmPaths {
  const dir = join(vmsDir(stateDir), id);
  return {
    id,
    dir,
    qmpSocket: join(dir, "qmp.sock"),
    agentSocket: join(dir, "agent.sock"),
    serialSocket: join(dir, "tty.sock"),
    stateSocket: join(dir, "state.sock"),
  };
}

/** Where the server of a share listens, and where it sees its directory, by the share's index. */
export const sharePlace = ({ dir }: Pick<VmPaths, "dir">, index: number) => ({
  socket: join(dir, `share${index}.sock`),
  mountPoint: join(dir, `share${index}`),
});

/** The writable layer of a container, by the container's index. */
export const writableLayerPath = ({ dir }: Pick<VmPaths, "dir">, index: number): string =>
  join(dir, `${index}.ext4`);

/** The link of a volume, by the SCSI target of its disk. */
export const volumeLinkPath = ({ dir }: Pick<VmPaths, "dir">, target: number): string =>
  join(dir, `volume-${target}.ext4`);

/** Whether a file of a VM's directory is the link of a volume. */
export const isVolumeLink = (name: string): boolean => /^volume-[0-9]+\.ext4$/.test(name);

/** The device file of a block device of the host, by its SCSI target. */
export const hostDiskPath = ({ dir }: Pick<VmPaths, "dir">, target: number): string =>
  join(dir, `disk${target}`);

/** The same path, and the path at which the daemon creates the layer. */
export function layerPlace(paths: Pick<VmPaths, "dir">, index: number) {
  const path = writableLayerPath(paths, index);
  return { path, aside: `${path}.new` };
}
