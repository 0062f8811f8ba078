/** A node's record of a volume: one immutable value, stored as one row. */

/** How the bytes of a copied volume were copied: sharing blocks with its source, or byte by byte. */
export const COPY_METHODS = ["reflink", "copy"] as const;
export type CopyMethod = (typeof COPY_METHODS)[number];

export type VolumeRecord = {
  /** Unique, in the form of an id. */
  readonly name: string;
  /** Names its file: 32 hexadecimal digits. Generated, because a name may be used again after a deletion. */
  readonly fileId: string;
  /** A multiple of 1 MiB. A shorter file is one whose growth was interrupted. */
  readonly sizeBytes: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
  /** Request that created it. */
  readonly requestId: string;
  readonly copy?: { readonly source: string; readonly method: CopyMethod };
};

/** A volume as a disk of a sandbox. */
export type SandboxVolume = {
  /** Its name. */
  readonly volume: string;
  /** SCSI target, 0 to 255. */
  readonly target: number;
  /** Whether the VM can only read it. */
  readonly readOnly: boolean;
};

/** The wish to use a volume. */
export type VolumeUse = Pick<SandboxVolume, "volume" | "readOnly">;
