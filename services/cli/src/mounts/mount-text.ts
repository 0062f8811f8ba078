/** Mounts as `ps --format '{{.Mounts}}'` and filters name them: the volumes by name, the host directories by path. */
import type { MountSpec } from "@paddock/protocol";

/** The names of the volumes and the paths of the host directories, each once. */
export const mountSources = (mounts: readonly MountSpec[]): string[] => [
  ...new Set(
    mounts.flatMap(({ source }) => {
      if (source.case === "volume") return [source.value.name];
      return source.case === "hostDirectory" ? [source.value.path] : [];
    }),
  ),
];
