import { create } from "@bufbuild/protobuf";
import { type GetVersionResponse, GetVersionResponseSchema } from "@paddock/protocol";
import { VERSION } from "../version.ts";

/** Reports versions. */
export const getVersion = async (): Promise<GetVersionResponse> =>
  create(GetVersionResponseSchema, {
    version: VERSION,
    runtimeVersion: process.version,
    apiVersions: ["paddock.v1"],
  });
