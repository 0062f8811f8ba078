/**
 * The volumes of this node: their records, files, users and promised bytes.
 *
 * A row is written when the file of its volume is complete, and removed before its file. So a file without a row belongs to no
 * volume, and the next start removes it.
 */
import { PaddockError } from "@paddock/domain";
import type { SandboxVolume, VolumeRecord, VolumeUse } from "../record/volume-record.ts";
import type { VolumeUsers } from "../sandboxes/volume-users.ts";
import type { NodeStore } from "../store/node-store.ts";
import type { RequestOutcome } from "../store/request-outcome.ts";
import { decodeVolume } from "../store/volume-codec.ts";
import { type VmPaths, volumeLinkPath } from "../vm/vm-paths.ts";
import type { VolumeFiles } from "./volume-files.ts";

export type VolumesOptions = {
  readonly nodeId: string;
  readonly store: Pick<NodeStore, "loadVolumes" | "putVolume" | "removeVolume">;
  readonly files: VolumeFiles;
  readonly users: VolumeUsers;
  /** Most bytes that all volumes together may have. */
  readonly quotaBytes: number;
  /** Called for each row that cannot be read, and with the names of removed files. */
  readonly onCorrupt?: (name: string, error: unknown) => void;
  readonly onSwept?: (names: readonly string[]) => void;
};

export class Volumes {
  readonly files: VolumeFiles;
  readonly users: VolumeUsers;
  readonly #options: VolumesOptions;
  readonly #records = new Map<string, VolumeRecord>();
  readonly #corrupt = new Map<string, unknown>();
  /** For volumes that are being created or grow. */
  #reservedBytes = 0;
  /** Of the records, and reserved. */
  #promisedBytes = 0;

  private constructor(options: VolumesOptions) {
    this.#options = options;
    this.files = options.files;
    this.users = options.users;
  }

  /** Reads the rows, finishes growths that a crash interrupted, and removes files without a row. */
  static open(options: VolumesOptions): Volumes {
    const volumes = new Volumes(options);
    for (const { name, text } of options.store.loadVolumes()) volumes.#load(name, text);
    // With an unreadable row, its file is not known.
    if (volumes.#corrupt.size > 0) return volumes;
    const known = [...volumes.#records.values()].map(({ fileId }) => fileId);
    const swept = options.files.sweep(new Set(known));
    if (swept.length > 0) options.onSwept?.(swept);
    return volumes;
  }

  #load(name: string, text: string): void {
    try {
      const volume = decodeVolume(name, text);
      this.#remember(volume);
      this.files.grow(volume.fileId, volume.sizeBytes);
    } catch (error) {
      if (this.#records.delete(name)) this.#count();
      this.#corrupt.set(name, error);
      this.#options.onCorrupt?.(name, error);
    }
  }

  find(name: string): VolumeRecord | undefined {
    return this.#records.get(name);
  }

  /** Throws VOLUME_NOT_FOUND, or RECORD_CORRUPT for a volume whose row or file cannot be read. */
  require(name: string): VolumeRecord {
    const known = this.#records.get(name);
    if (known !== undefined) return known;
    this.#requireReadable(name);
    throw new PaddockError("VOLUME_NOT_FOUND", `node ${this.#options.nodeId} has no volume ${name}`, {
      hint: "create it first; list the volumes to see which exist",
      metadata: { volume: name },
    });
  }

  /** Throws VOLUME_EXISTS, or RECORD_CORRUPT. */
  requireFree(name: string): void {
    this.#requireReadable(name);
    if (this.#records.has(name))
      throw new PaddockError("VOLUME_EXISTS", `volume ${name} exists`, {
        hint: "choose another name, or leave it empty to get a new one",
        metadata: { volume: name },
      });
  }

  #requireReadable(name: string): void {
    if (this.#corrupt.has(name))
      throw new PaddockError("RECORD_CORRUPT", `volume ${name} cannot be read`, {
        cause: this.#corrupt.get(name),
      });
  }

  /** The volumes whose name comes after this one, in order of name. */
  after(name: string): VolumeRecord[] {
    const wanted = [...this.#records.values()].filter((volume) => volume.name > name);
    return wanted.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Claims volumes for a sandbox until disposed of; by then they are in its record. Throws VOLUME_NOT_FOUND, or VOLUME_IN_USE.
   */
  claim(sandboxId: string, wanted: readonly VolumeUse[]): Disposable {
    for (const { volume } of wanted) this.require(volume);
    return this.users.claim(sandboxId, wanted);
  }

  /** Reserves bytes of the quota until disposed of; by then they are in a record. Throws NO_DISK_SPACE. */
  promise(bytes: number): Disposable {
    const { quotaBytes } = this.#options;
    const free = quotaBytes - this.#promisedBytes;
    if (bytes > free)
      throw new PaddockError(
        "NO_DISK_SPACE",
        `the quota of volumes is ${quotaBytes} bytes, of which ${Math.max(0, free)} are free, and ${bytes} are needed`,
        { hint: "delete volumes, or raise PADDOCK_VOLUME_QUOTA_BYTES of the node" },
      );
    this.#reservedBytes += bytes;
    this.#count();
    const promised = new DisposableStack();
    promised.defer(() => {
      this.#reservedBytes -= bytes;
      this.#count();
    });
    return promised;
  }

  #count(): void {
    const sizes = [...this.#records.values()].map(({ sizeBytes }) => sizeBytes);
    this.#promisedBytes = sizes.reduce((sum, bytes) => sum + bytes, this.#reservedBytes);
  }

  #remember(volume: VolumeRecord): void {
    this.#records.set(volume.name, volume);
    this.#count();
  }

  /** Stores a record. */
  put(volume: VolumeRecord): void {
    this.#options.store.putVolume(volume);
    this.#remember(volume);
  }

  /** Removes a volume that no sandbox uses, with the success of the request. Throws VOLUME_NOT_FOUND, or VOLUME_IN_USE. */
  async remove(name: string, outcome: RequestOutcome): Promise<void> {
    const { fileId } = this.require(name);
    // Nothing waits between the check and the removal of the row.
    this.users.requireUnused(name);
    this.#options.store.removeVolume(name, outcome);
    this.#records.delete(name);
    this.#count();
    await this.files.remove(fileId);
  }

  /** Gives a VM access to a volume. Throws VOLUME_NOT_FOUND, or VOLUME_IN_USE. */
  async link(
    { volume, target, readOnly }: SandboxVolume,
    vm: Pick<VmPaths, "dir">,
    uid: number,
  ): Promise<void> {
    const { fileId, sizeBytes } = this.require(volume);
    this.files.grow(fileId, sizeBytes);
    await this.files.link(fileId, { path: volumeLinkPath(vm, target), uid, readOnly });
  }
}
