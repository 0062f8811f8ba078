/**
 * A sandbox record as the text of a row, and back.
 *
 * The text contains a schema number. A decoded record is checked field by field: the file outlives the program, and an incomplete
 * record must not become an incomplete sandbox.
 */
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { PaddockError, parseContainerId, parseSandboxId } from "@paddock/domain";
import { ContainerSpecSchema, SandboxSpecSchema } from "@paddock/protocol";
import {
  type ContainerPhase,
  type ContainerRecord,
  type ExitRecord,
  type MachineIdentity,
  type SandboxPhase,
  type SandboxRecord,
  STOP_CAUSES,
} from "../sandboxes/sandbox-record.ts";
import { Fields } from "./fields.ts";

const SCHEMA = 1;

/** The text of a record. */
export function encodeRecord(record: SandboxRecord): string {
  return JSON.stringify({
    ...record,
    schema: SCHEMA,
    generation: String(record.generation),
    spec: specText(SandboxSpecSchema, record.spec),
    containers: record.containers.map((container) => ({
      ...container,
      spec: specText(ContainerSpecSchema, container.spec),
    })),
  });
}

/** The record of a text. Throws RECORD_CORRUPT with the sandbox and the reason. */
export function decodeRecord(sandboxId: string, text: string): SandboxRecord {
  try {
    return parseRecord(Fields.parse(text), sandboxId);
  } catch (error) {
    throw new PaddockError("RECORD_CORRUPT", `the record of sandbox ${sandboxId} cannot be read`, {
      hint: "delete the sandbox with force to give its resources back",
      cause: error,
    });
  }
}

function parseRecord(fields: Fields, id: string): SandboxRecord {
  const schema = fields.integer("schema");
  if (schema !== SCHEMA) throw new Error(`schema ${schema} is not ${SCHEMA}`);
  const sandboxId = parseSandboxId(fields.string("sandboxId"));
  if (sandboxId === undefined || sandboxId !== id) throw new Error("it has another id");
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
    slot: fields.integer("slot"),
    createdAtMs: fields.number("createdAtMs"),
    bootDurationMs: fields.number("bootDurationMs"),
    agentSequence: fields.integer("agentSequence"),
    guestBootId: fields.string("guestBootId"),
    eventSequence: fields.integer("eventSequence"),
    ...(fields.has("unhealthy") && { unhealthy: fields.string("unhealthy") }),
    phase: parsePhase(fields.object("phase")),
    containers: fields.objects("containers").map(parseContainer),
  };
}

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

function parseContainer(fields: Fields): ContainerRecord {
  const containerId = parseContainerId(fields.string("containerId"));
  if (containerId === undefined) throw new Error("a container has no proper id");
  return {
    containerId,
    // Missing in rows of a daemon whose containers had none; its guests report none.
    instance: fields.has("instance") ? fields.string("instance") : "",
    requestId: fields.string("requestId"),
    spec: fromBinary(ContainerSpecSchema, fields.bytes("spec")),
    imageId: fields.string("imageId"),
    imageBlob: fields.string("imageBlob"),
    stopSignal: fields.integer("stopSignal"),
    index: fields.integer("index"),
    createdAtMs: fields.number("createdAtMs"),
    oomKillCount: fields.integer("oomKillCount"),
    // Missing in rows of a daemon that could not start a container again.
    restarts: fields.has("restarts") ? fields.integer("restarts") : 0,
    ...(fields.has("startRequestId") && { startRequestId: fields.string("startRequestId") }),
    phase: parseContainerPhase(fields.object("phase")),
  };
}

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
