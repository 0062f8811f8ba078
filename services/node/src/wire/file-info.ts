/** Attributes of files and results of copies, from a guest for clients. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  agentpb,
  type CopyEndSchema,
  type FileInfo,
  FileInfoSchema,
  FileType,
  type ListFilesResponseSchema,
} from "@paddock/protocol";
import { broken } from "../agent/broken-protocol.ts";
import type { CopyResult } from "../agent/copy-result.ts";
import { isFileName } from "../agent/guest-file-name.ts";
import { guestTime } from "./guest-time.ts";

const MODE_BITS = 0o7777;
const MAX_TARGET_CHARACTERS = 4096;
const DEFAULT_PAGE_SIZE = 100;
const MAX_TOKEN_CHARACTERS = 1024;

const TYPES: ReadonlyMap<agentpb.FileType, FileType> = new Map([
  [agentpb.FileType.REGULAR, FileType.REGULAR],
  [agentpb.FileType.DIRECTORY, FileType.DIRECTORY],
  [agentpb.FileType.SYMLINK, FileType.SYMLINK],
  [agentpb.FileType.OTHER, FileType.OTHER],
]);

/** One file. The name is "." if the path does not end in one. Throws GUEST_FAILED. */
export function fileInfo(file: agentpb.FileInfo | undefined): FileInfo {
  if (file === undefined) throw broken("sent no attributes of a file");
  if (file.name !== "." && !isFileName(file.name)) throw broken("sent a name that no file has");
  const type = TYPES.get(file.type);
  if (type === undefined) throw broken(`named type ${file.type} of a file`);
  if (file.linkTarget.length > MAX_TARGET_CHARACTERS)
    throw broken(`sent a link of ${file.linkTarget.length} characters`);
  const { name, sizeBytes, mode, uid, gid, linkTarget } = file;
  const modifiedAt = guestTime(file.modifiedAt);
  const known = { name, type, sizeBytes, mode: mode & MODE_BITS, uid, gid, linkTarget };
  return create(FileInfoSchema, { ...known, ...(modifiedAt && { modifiedAt }) });
}

/** A page of a directory. Throws GUEST_FAILED. */
export function filePage(
  { files, nextPageToken }: agentpb.ListFilesResponse,
  pageSize: number,
): MessageInitShape<typeof ListFilesResponseSchema> {
  if (files.length > (pageSize || DEFAULT_PAGE_SIZE)) throw broken(`sent a page of ${files.length} files`);
  if (nextPageToken.length > MAX_TOKEN_CHARACTERS)
    throw broken(`sent a page token of ${nextPageToken.length} characters`);
  if (files.some(({ name }) => !isFileName(name))) throw broken("listed a name that no file has");
  return { files: files.map(fileInfo), nextPageToken };
}

/** The last message of a copy. */
export const copyEnd = ({ warnings, ...result }: CopyResult): MessageInitShape<typeof CopyEndSchema> => ({
  ...result,
  warnings: [...warnings],
});
