import type { DescMethod, Message } from "@bufbuild/protobuf";
import {
  ContainerService,
  ImageService,
  ProcessService,
  SandboxService,
  SystemService,
} from "@paddock/protocol";
import { createRequestCheck } from "@paddock/rpc";
import type { CommandCheck } from "./command-handler.ts";

/** Checks a command's request by the rules in the schema, as the api did before. */
export function commandCheck(): CommandCheck {
  const check = createRequestCheck();
  const methods = new Map<string, DescMethod>();
  for (const service of [SandboxService, ContainerService, ProcessService, ImageService, SystemService])
    for (const method of service.methods) methods.set(method.input.typeName, method);
  return (request: Message) => {
    const method = methods.get(request.$typeName);
    if (method === undefined) throw new Error(`no method takes ${request.$typeName}`);
    check(method, request);
  };
}
