import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { agentpb, FileInfoSchema, FileType } from "@paddock/protocol";
import { fileInfo, filePage } from "./file-info.ts";

type Init = MessageInitShape<typeof agentpb.FileInfoSchema>;

const told = (init: Init = {}) =>
  create(agentpb.FileInfoSchema, { name: "f", type: agentpb.FileType.REGULAR, ...init });
const refused = { reason: "GUEST_FAILED" };

test("attributes of a file pass with bits of the mode only, and without a time that no message can have", () => {
  const link = told({ type: agentpb.FileType.SYMLINK, mode: 0o120_777, linkTarget: "../../etc", uid: 7 });
  const shown = fileInfo(link);
  assert.deepEqual(
    [shown.type, shown.mode, shown.linkTarget, shown.uid],
    [FileType.SYMLINK, 0o777, "../../etc", 7],
  );
  const times: Init[] = [{ seconds: 1n << 62n }, { seconds: 0n, nanos: -1 }].map((modifiedAt) => ({
    modifiedAt,
  }));
  for (const time of times) toJson(FileInfoSchema, fileInfo(told(time)));
  assert.equal(fileInfo(told({ modifiedAt: { seconds: 5n } })).modifiedAt?.seconds, 5n);
});

test("a guest cannot name a file that a client would create elsewhere, or that no file system has", () => {
  for (const name of ["", "..", "/", "a/b", "a\0", "x".repeat(256)])
    assert.throws(() => fileInfo(told({ name })), refused, name);
  assert.equal(fileInfo(told({ name: "." })).name, ".");
  assert.throws(() => fileInfo(undefined), refused);
  for (const type of [0, 5, -1]) assert.throws(() => fileInfo(told({ type })), refused, `type ${type}`);
  assert.throws(() => fileInfo(told({ linkTarget: "x".repeat(4097) })), refused);
});

test("a guest cannot send more files than requested, a page without names, or a long token", () => {
  const page = (files: Init[], nextPageToken = "") =>
    create(agentpb.ListFilesResponseSchema, { files: files.map(told), nextPageToken });
  assert.equal(filePage(page([{}, {}], "t"), 2).files?.length, 2);
  assert.throws(() => filePage(page([{}, {}, {}]), 2), refused);
  assert.throws(() => filePage(page(Array.from({ length: 101 }, () => ({}))), 0), refused);
  assert.throws(() => filePage(page([{ name: "." }]), 2), refused);
  assert.throws(() => filePage(page([], "x".repeat(1025)), 2), refused);
});
