/** The directories of the host that a sandbox's VM can mount. They follow from its spec, and never change. Pure. */
import { invalidField, PaddockError } from "@paddock/domain";
import type { ContainerSpec, MountSpec, SandboxSpec } from "@paddock/protocol";

/** Shares of a VM. */
export const MAX_HOST_SHARES = 8;

/** A directory that a VM can mount. The same directory is another share when it is read-only. */
export type HostShare = {
  /** 0 to 7; names its server's socket and its device. */
  readonly index: number;
  /** Names it in the guest. */
  readonly tag: string;
  /** In normal form. */
  readonly path: string;
  readonly readOnly: boolean;
};

/** The shares of a new sandbox, in the order of its mounts. Throws INVALID_FIELD or TOO_MANY. */
export function hostSharesOf({ containers }: Pick<SandboxSpec, "containers">): readonly HostShare[] {
  const shares: HostShare[] = [];
  for (const { path, readOnly } of containers.flatMap(wanted))
    if (!shares.some((share) => share.path === path && share.readOnly === readOnly)) {
      const index = shares.length;
      shares.push({ index, tag: `host${index}`, path, readOnly });
    }
  if (shares.length > MAX_HOST_SHARES)
    throw new PaddockError(
      "TOO_MANY",
      `the sandbox mounts ${shares.length} directories of the host, of ${MAX_HOST_SHARES} that are allowed`,
      { hint: "mount a directory above them; read-only and writable mounts of a directory count separately" },
    );
  return shares;
}

const wanted = ({ mounts }: ContainerSpec) =>
  mounts.flatMap(({ source, readOnly }) =>
    source.case === "hostDirectory" ? [{ path: normalHostPath(source.value.path), readOnly }] : [],
  );

/** The share that a mount of a host directory uses. Throws WRONG_STATE when the VM does not have it. */
export function shareOfMount(
  shares: readonly HostShare[],
  { readOnly }: Pick<MountSpec, "readOnly">,
  path: string,
): HostShare {
  const normal = normalHostPath(path);
  const found = shares.find((share) => share.path === normal && share.readOnly === readOnly);
  if (found !== undefined) return found;
  const how = readOnly ? "read-only" : "writable";
  throw new PaddockError("WRONG_STATE", `the sandbox's VM does not have the directory ${normal} (${how})`, {
    hint: "a VM gets its host directories when its sandbox is created: name the directory in a mount of one of its first containers",
  });
}

/** An absolute path without empty parts. Throws INVALID_FIELD for one with "." or "..", which may name another directory. */
export function normalHostPath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "");
  if (!path.startsWith("/") || path.includes("\0") || parts.some((part) => part === "." || part === ".."))
    throw invalidField(
      "spec.mounts.host_directory.path",
      'must be absolute, without "." and ".."',
      `${JSON.stringify(path.slice(0, 256))} is not an absolute path without "." and ".."`,
    );
  return `/${parts.join("/")}`;
}
