import { toBinary } from "@bufbuild/protobuf";
import { type ListVolumesRequest, VolumeSchema, VolumeService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { listOnNodes } from "./list-on-nodes.ts";

/** One page of the volumes of all nodes, by name. */
export const listVolumesOnNodes = (api: ApiContext, ctx: CallContext, request: ListVolumesRequest) =>
  listOnNodes(api, ctx, request, {
    method: VolumeService.method.listVolumes,
    pageOf: ({ volumes, nextPageToken }) => ({ items: volumes, more: nextPageToken !== "" }),
    idOf: ({ name }) => name,
    bytesOf: (volume) => toBinary(VolumeSchema, volume).length,
  });
