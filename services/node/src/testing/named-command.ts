/** Commands and their outcomes as tests write them: the method's local name, beside its request or response. */
import { create, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  ContainerService,
  FileService,
  ImageService,
  nodepb,
  ProcessService,
  SandboxService,
  type Status,
  SystemService,
  VolumeService,
} from "@paddock/protocol";
import { methodPath } from "@paddock/rpc";

const SERVICES = [
  SandboxService,
  ContainerService,
  ProcessService,
  FileService,
  ImageService,
  SystemService,
  VolumeService,
];

type Methods = typeof SandboxService.method &
  typeof ContainerService.method &
  typeof ProcessService.method &
  typeof FileService.method &
  typeof ImageService.method &
  typeof SystemService.method &
  typeof VolumeService.method;
type Name = { [N in keyof Methods]: Methods[N]["methodKind"] extends "unary" ? N : never }[keyof Methods];

export type NamedCommand = {
  [N in Name]: { readonly case: N; readonly value: MessageInitShape<Methods[N]["input"]> };
}[Name];
export type NamedOutcome =
  | { [N in Name]: { readonly case: N; readonly value: MessageShape<Methods[N]["output"]> } }[Name]
  | { readonly case: "error"; readonly value: Status };

type Ids = { readonly requestId: string; readonly sandboxId: string; readonly generation: bigint };

/** The command on the bus, with the ids in its request too. */
export function commandOf({ case: name, value }: NamedCommand, ids: Ids): nodepb.CommandRequest {
  const method = methodOf(name);
  const request = create(method.input, value);
  if ("requestId" in request) request.requestId = ids.requestId;
  if ("sandboxId" in request) request.sandboxId ||= ids.sandboxId;
  return create(nodepb.CommandRequestSchema, {
    ...ids,
    method: methodPath(method),
    request: toBinary(method.input, request),
  });
}

/** The outcome of a successful command. */
export function outcomeOf({ case: name }: NamedCommand, response: Uint8Array): NamedOutcome {
  // The type ties each response to its method; it cannot express that for a method found at run time.
  return { case: name, value: fromBinary(methodOf(name).output, response) } as NamedOutcome;
}

function methodOf(name: Name) {
  const found = SERVICES.flatMap(({ methods }) => methods).find(({ localName }) => localName === name);
  if (found === undefined) throw new Error(`no method is called ${name}`);
  return found;
}
