/** A device of a sandbox in a stored record. */
import type { DeviceFile, DeviceRecord, HostSource } from "../record/device-record.ts";
import type { Fields } from "./fields.ts";

export const parseDevice = (fields: Fields): DeviceRecord => ({
  deviceId: fields.string("deviceId"),
  requestId: fields.string("requestId"),
  source: parseSource(fields.object("source")),
  target: fields.integer("target"),
  ...(fields.has("file") && { file: parseFile(fields.object("file")) }),
});

const parseSource = (fields: Fields): HostSource => ({
  path: fields.string("path"),
  readOnly: fields.boolean("readOnly"),
  identity: fields.string("identity"),
  whole: fields.string("whole"),
  sizeBytes: fields.integer("sizeBytes"),
});

const parseFile = (fields: Fields): DeviceFile => ({
  containerId: fields.string("containerId"),
  path: fields.string("path"),
  mode: fields.integer("mode"),
  uid: fields.integer("uid"),
  gid: fields.integer("gid"),
});
