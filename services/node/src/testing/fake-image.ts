import type { ImageRecord } from "@paddock/images";

/** An image whose content is never read. */
export function fakeImage(): ImageRecord {
  return {
    id: `sha256:${"a".repeat(64)}`,
    names: [],
    blob: `sha256:${"b".repeat(64)}`,
    sizeBytes: 4096,
    contentBytes: 4096,
    createdAt: "2026-01-01T00:00:00.000Z",
    importedAt: "2026-01-01T00:00:00.000Z",
    architecture: "amd64",
    layerCount: 1,
    droppedDevices: 0,
    warnings: [],
    config: {
      entrypoint: [],
      cmd: ["/bin/sh"],
      env: [],
      workingDir: "/",
      user: "",
      stopSignal: "",
      exposedPorts: [],
      labels: {},
      volumes: [],
    },
  };
}
