/** Volumes for tests, and an api that answers all calls about them. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import {
  type CreateVolumeRequest,
  type DeleteVolumeRequest,
  type ResizeVolumeRequest,
  type VolumeSchema,
  VolumeService,
} from "@paddock/protocol";

type VolumeInit = Exclude<MessageInitShape<typeof VolumeSchema>, { $typeName: string }> & { name: string };

const GIB = 1024n ** 3n;

/** What was asked of the volumes, each kind in order. */
export type FakeVolumes = {
  readonly created: CreateVolumeRequest[];
  readonly resized: ResizeVolumeRequest[];
  readonly deleted: DeleteVolumeRequest[];
  /** Makes a volume exist that is not found yet, as one that is being created. */
  hide(name: string): void;
};

/** Serves the volumes `existing`, by name with their nodes or in full, and those that are created, by default on node "n1". */
export function serveVolumes(
  api: FakeApi,
  existing: Readonly<Record<string, string>> | readonly VolumeInit[],
): FakeVolumes {
  const given = Array.isArray(existing)
    ? existing
    : Object.entries(existing).map(([name, nodeId]) => ({ name, nodeId, sizeBytes: GIB }));
  const volumes = new Map<string, VolumeInit>(given.map((volume) => [volume.name, volume]));
  const hidden = new Set<string>();
  const find = (name: string): VolumeInit => {
    const volume = hidden.has(name) ? undefined : volumes.get(name);
    if (volume === undefined) throw new PaddockError("VOLUME_NOT_FOUND", `volume "${name}" does not exist`);
    return volume;
  };
  const asked: FakeVolumes = { created: [], resized: [], deleted: [], hide: (name) => void hidden.add(name) };
  const { method } = VolumeService;
  api.unary(method.getVolume, ({ name }) => ({ volume: find(name) }));
  api.unary(method.listVolumes, () => ({
    volumes: [...volumes.values()].sort((a, b) => a.name.localeCompare(b.name)),
  }));
  api.unary(method.createVolume, (request) => {
    asked.created.push(request);
    const name = request.name || "generated";
    if (volumes.has(name)) throw new PaddockError("VOLUME_EXISTS", `volume "${name}" exists`);
    const volume = { name, nodeId: request.nodeId || "n1", sizeBytes: request.sizeBytes || GIB };
    volumes.set(name, volume);
    return { volume };
  });
  api.unary(method.resizeVolume, (request) => {
    asked.resized.push(request);
    const volume = { ...find(request.name), sizeBytes: request.sizeBytes };
    volumes.set(request.name, volume);
    return { volume };
  });
  api.unary(method.deleteVolume, (request) => {
    const { users = [] } = find(request.name);
    if (users.length > 0)
      throw new PaddockError("VOLUME_IN_USE", `volume "${request.name}" is used by ${users[0]?.sandboxId}`);
    asked.deleted.push(request);
    volumes.delete(request.name);
    return {};
  });
  return asked;
}
