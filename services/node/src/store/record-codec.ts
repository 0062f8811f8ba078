/**
 * Encodes a sandbox record as the text of a row, and decodes it.
 *
 * The text contains a schema number. A decoded record is checked field by field: the file outlives the program, and an
 * incomplete record must not become an incomplete sandbox.
 *
 * Schema 2 has an id for the VM and targets for disks. A record of schema 1 is converted: its VM was named after the sandbox,
 * and the disks of container n were at targets 2n and 2n+1. So a daemon takes over the VMs of the former version.
 */
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { PaddockError, parseContainerId, parseSandboxId } from "@paddock/domain";
import { ContainerSpecSchema, SandboxSpecSchema } from "@paddock/protocol";
import { hostName } from "../record/sandbox-paths.ts";
import {
  type ContainerPhase,
  type ContainerRecord,
  type DiskTargets,
  type ExitRecord,
  type Operation,
  type SandboxPhase,
  type SandboxRecord,
  STOP_CAUSES,
  type VmRecord,
} from "../record/sandbox-record.ts";
import type { SandboxVolume } from "../record/volume-record.ts";
import type { MachineIdentity } from "../vm/machine-port.ts";
import { parseVmId, type VmId } from "../vm/vm-paths.ts";
import { parseDevice } from "./device-codec.ts";
import { Fields } from "./fields.ts";
import { parseInterface, parseNetwork } from "./network-codec.ts";

const SCHEMA = 2;
const FORMER_SCHEMA = 1;

/** The text of a record. */
export function encodeRecord(record: SandboxRecord): string {
  return JSON.stringify({
    ...record,
    schema: SCHEMA,
    generation: String(record.generation),
    spec: specText(SandboxSpecSchema, record.spec),
    containers: record.containers.map(encodeContainer),
    operations: record.operations.map((operation) =>
      operation.kind === "add-container"
        ? { ...operation, container: encodeContainer(operation.container) }
        : operation,
    ),
  });
}

const encodeContainer = (container: ContainerRecord) => ({
  ...container,
  spec: specText(ContainerSpecSchema, container.spec),
});

/** The id of a sandbox's VM in the version that named VMs after their sandboxes. */
export const formerVmId = (sandboxId: string): VmId => requireVmId(hostName(sandboxId));

/** Decodes a record. Throws RECORD_CORRUPT with the sandbox and the reason. */
export function decodeRecord(sandboxId: string, text: string): SandboxRecord {
  try {
    return parseRecord(Fields.parse(text), sandboxId);
  } catch (error) {
    throw new PaddockError("RECORD_CORRUPT", `the record of sandbox ${sandboxId} cannot be read`, {
      hint: "delete the sandbox with force to release its resources",
      cause: error,
    });
  }
}

function parseRecord(fields: Fields, id: string): SandboxRecord {
  const schema = fields.integer("schema");
  if (schema !== SCHEMA && schema !== FORMER_SCHEMA)
    throw new Error(
      `this daemon reads records of schema ${FORMER_SCHEMA} and ${SCHEMA}, and this is schema ${schema}`,
    );
  const sandboxId = parseSandboxId(fields.string("sandboxId"));
  if (sandboxId === undefined || sandboxId !== id) throw new Error("it is of another sandbox");
  const size = fields.object("size");
  return {
    sandboxId,
    version: fields.integer("version"),
    generation: BigInt(fields.string("generation")),
    requestId: fields.string("requestId"),
    spec: fromBinary(SandboxSpecSchema, fields.bytes("spec")),
    size: {
      vcpus: size.integer("vcpus"),
      maxVcpus: size.integer("maxVcpus"),
      memoryBytes: size.integer("memoryBytes"),
      // Missing in rows of a daemon whose VMs could not grow.
      ...(size.has("maxMemoryBytes") && { maxMemoryBytes: size.integer("maxMemoryBytes") }),
    },
    vm: schema === FORMER_SCHEMA ? formerVm(id, fields) : parseVm(fields.object("vm")),
    network: parseNetwork(fields),
    createdAtMs: fields.number("createdAtMs"),
    bootDurationMs: fields.number("bootDurationMs"),
    agentSequence: fields.integer("agentSequence"),
    guestBootId: fields.string("guestBootId"),
    eventSequence: fields.integer("eventSequence"),
    ...(fields.has("unhealthy") && { unhealthy: fields.string("unhealthy") }),
    phase: parsePhase(fields.object("phase")),
    containers: fields.objects("containers").map((each) => parseContainer(each, schema)),
    volumes: parseVolumes(fields),
    // Missing in rows of a daemon without devices.
    devices: fields.has("devices") ? fields.objects("devices").map(parseDevice) : [],
    operations: schema === FORMER_SCHEMA ? [] : fields.objects("operations").map(parseOperation),
  };
}

const formerVm = (sandboxId: string, fields: Fields): VmRecord => ({
  id: formerVmId(sandboxId),
  slot: fields.integer("slot"),
});

const parseVm = (fields: Fields): VmRecord => ({
  id: requireVmId(fields.string("id")),
  slot: fields.integer("slot"),
});

function requireVmId(text: string): VmId {
  const id = parseVmId(text);
  if (id === undefined) throw new Error("the VM's id is invalid");
  return id;
}

const OPERATIONS = [
  "stop",
  "add-container",
  "update-container",
  "add-interface",
  "remove-interface",
  "update-routes",
  "add-device",
  "remove-device",
] as const satisfies readonly Operation["kind"][];

function parseOperation(fields: Fields): Operation {
  const kind = fields.oneOf("kind", OPERATIONS);
  switch (kind) {
    case "stop":
    case "update-routes":
      return { kind };
    case "add-container":
      return {
        kind,
        container: parseContainer(fields.object("container"), SCHEMA),
        volumes: parseVolumes(fields),
      };
    case "update-container":
      return { kind, containerId: requireContainerId(fields) };
    case "add-interface":
      return { kind, interface: parseInterface(fields.object("interface")) };
    case "remove-interface":
      return { kind, interfaceId: fields.string("interfaceId"), requestId: fields.string("requestId") };
    case "add-device":
      return { kind, device: parseDevice(fields.object("device")) };
    case "remove-device":
      return {
        kind,
        deviceId: fields.string("deviceId"),
        force: fields.boolean("force"),
        requestId: fields.string("requestId"),
      };
    default:
      throw new Error(`no such operation: ${kind satisfies never}`);
  }
}

/** Missing in rows of a daemon without volumes. */
const parseVolumes = (fields: Fields): readonly SandboxVolume[] =>
  (fields.has("volumes") ? fields.objects("volumes") : []).map((each) => ({
    volume: each.string("volume"),
    target: each.integer("target"),
    readOnly: each.boolean("readOnly"),
  }));

function parsePhase(fields: Fields): SandboxPhase {
  const kind = fields.oneOf("kind", ["creating", "ready", "running", "paused", "stopped", "deleting"]);
  switch (kind) {
    case "creating":
      return { kind };
    case "deleting":
      return { kind, ...(fields.has("requestId") && { requestId: fields.string("requestId") }) };
    case "ready":
      return { kind, machine: parseMachine(fields.object("machine")) };
    case "running":
    case "paused":
      return {
        kind,
        machine: parseMachine(fields.object("machine")),
        startedAtMs: fields.number("startedAtMs"),
      };
    case "stopped":
      return {
        kind,
        cause: fields.oneOf("cause", STOP_CAUSES),
        evidence: fields.string("evidence"),
        ...(fields.has("startedAtMs") && { startedAtMs: fields.number("startedAtMs") }),
        stoppedAtMs: fields.number("stoppedAtMs"),
      };
    default:
      throw new Error(`no such phase: ${kind satisfies never}`);
  }
}

function parseMachine(fields: Fields): MachineIdentity {
  return {
    pid: fields.integer("pid"),
    startTicks: fields.string("startTicks"),
    bootId: fields.string("bootId"),
  };
}

function requireContainerId(fields: Fields) {
  const containerId = parseContainerId(fields.string("containerId"));
  if (containerId === undefined) throw new Error("a container's id is invalid");
  return containerId;
}

function parseContainer(fields: Fields, schema: number): ContainerRecord {
  const index = fields.integer("index");
  const spec = fromBinary(ContainerSpecSchema, fields.bytes("spec"));
  return {
    containerId: requireContainerId(fields),
    // Missing in rows of a daemon without instances; its guests report none.
    instance: fields.has("instance") ? fields.string("instance") : "",
    requestId: fields.string("requestId"),
    spec,
    imageId: fields.string("imageId"),
    imageBlob: fields.string("imageBlob"),
    stopSignal: fields.integer("stopSignal"),
    index,
    targets:
      schema === FORMER_SCHEMA
        ? { image: 2 * index, ...(!spec.readOnlyRootfs && { layer: 2 * index + 1 }) }
        : parseTargets(fields.object("targets")),
    createdAtMs: fields.number("createdAtMs"),
    oomKillCount: fields.integer("oomKillCount"),
    // Missing in rows of a daemon that could not restart a container.
    restarts: fields.has("restarts") ? fields.integer("restarts") : 0,
    ...(fields.has("startRequestId") && { startRequestId: fields.string("startRequestId") }),
    phase: parseContainerPhase(fields.object("phase")),
  };
}

const parseTargets = (fields: Fields): DiskTargets => ({
  image: fields.integer("image"),
  ...(fields.has("layer") && { layer: fields.integer("layer") }),
});

function parseContainerPhase(fields: Fields): ContainerPhase {
  const kind = fields.oneOf("kind", ["ready", "running", "paused", "stopped"]);
  switch (kind) {
    case "ready":
      return { kind };
    case "running":
    case "paused":
      return { kind, pid: fields.integer("pid"), startedAtMs: fields.number("startedAtMs") };
    case "stopped":
      return {
        kind,
        cause: fields.oneOf("cause", STOP_CAUSES),
        ...(fields.has("exit") && { exit: parseExit(fields.object("exit")) }),
        ...(fields.has("startedAtMs") && { startedAtMs: fields.number("startedAtMs") }),
        stoppedAtMs: fields.number("stoppedAtMs"),
      };
    default:
      throw new Error(`no such phase: ${kind satisfies never}`);
  }
}

function parseExit(fields: Fields): ExitRecord {
  return {
    code: fields.integer("code"),
    signal: fields.integer("signal"),
    oomKilled: fields.boolean("oomKilled"),
    exitedAtMs: fields.number("exitedAtMs"),
    reason: fields.string("reason"),
  };
}

/** Texts of specs. They are most of a record and rarely change, and a record is written at each change. */
const specTexts = new WeakMap<object, string>();

function specText<S extends DescMessage>(schema: S, spec: MessageShape<S>): string {
  const known = specTexts.get(spec);
  if (known !== undefined) return known;
  const text = Buffer.from(toBinary(schema, spec)).toString("base64");
  specTexts.set(spec, text);
  return text;
}
