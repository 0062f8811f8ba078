/** Encodes a volume's record as the text of a row, and decodes it. */
import { PaddockError } from "@paddock/domain";
import { COPY_METHODS, type VolumeRecord } from "../record/volume-record.ts";
import { Fields } from "./fields.ts";

const SCHEMA = 1;

/** The text of a record. */
export const encodeVolume = (volume: VolumeRecord): string =>
  JSON.stringify({
    ...volume,
    labels: Object.entries(volume.labels).map(([key, value]) => ({ key, value })),
    schema: SCHEMA,
  });

/** Decodes a record. Throws RECORD_CORRUPT with the volume and the reason. */
export function decodeVolume(name: string, text: string): VolumeRecord {
  try {
    return parseVolume(Fields.parse(text), name);
  } catch (error) {
    throw new PaddockError("RECORD_CORRUPT", `the record of volume ${name} cannot be read`, { cause: error });
  }
}

function parseVolume(fields: Fields, wanted: string): VolumeRecord {
  const schema = fields.integer("schema");
  if (schema !== SCHEMA)
    throw new Error(`this daemon reads volumes of schema ${SCHEMA}, and this is ${schema}`);
  const name = fields.string("name");
  if (name !== wanted) throw new Error("it is of another volume");
  const fileId = fields.string("fileId");
  if (!/^[0-9a-f]{32}$/.test(fileId)) throw new Error("the id of its file is invalid");
  const labels = fields.objects("labels").map((each) => [each.string("key"), each.string("value")]);
  return {
    name,
    fileId,
    sizeBytes: fields.integer("sizeBytes"),
    labels: Object.fromEntries(labels),
    createdAtMs: fields.number("createdAtMs"),
    requestId: fields.string("requestId"),
    ...(fields.has("copy") && { copy: parseCopy(fields.object("copy")) }),
  };
}

const parseCopy = (fields: Fields): NonNullable<VolumeRecord["copy"]> => ({
  source: fields.string("source"),
  method: fields.oneOf("method", COPY_METHODS),
});
