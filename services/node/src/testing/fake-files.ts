/**
 * The files of a fake guest, in memory, with the agent's transfers. It copies files and no archives. `file-contract.ts` holds it to
 * what the agent does.
 */
import { posix } from "node:path";
import type { ConnectRouter } from "@connectrpc/connect";
import { agentpb } from "@paddock/protocol";
import { FakeReads } from "./fake-reads.ts";
import { FakeWatches } from "./fake-watches.ts";
import { FakeWrites } from "./fake-writes.ts";
import { guestRefusal } from "./guest-refusal.ts";

const { FailureReason, FileType } = agentpb;

/** A directory has no data. */
export type FakeFile = { readonly data: Buffer | undefined; readonly mode: number };

export class FakeFiles {
  readonly watches = new FakeWatches();
  readonly reads = new FakeReads(
    (path) => this.#data(path),
    (path) => this.stat(path),
  );
  readonly writes = new FakeWrites((path, data, mode) => this.write(path, data, mode));
  readonly #files = new Map<string, FakeFile>([["/", { data: undefined, mode: 0o755 }]]);
  /** Names of the unary calls, in order. */
  readonly calls: string[] = [];

  /** For `FakeAgentOptions`. */
  readonly routes = (router: ConnectRouter): void => {
    router.service(agentpb.FileService, {
      statFile: ({ path }) => this.#called("statFile", () => ({ file: this.stat(path) })),
      listFiles: (request) => this.#called("listFiles", () => this.#list(request)),
      removeFile: (request) => this.#called("removeFile", () => this.#remove(request)),
      makeDirectory: (request) => this.#called("makeDirectory", () => this.#make(request)),
      copyFrom: (request) => this.reads.copy(request),
      copyTo: (requests, { signal }) => this.writes.copy(requests, signal),
      watchFiles: ({ path }, { signal }) => this.watches.watch(at(path), signal),
    });
  };

  /** The bytes of a file; undefined if there is none. */
  read(path: string): Buffer | undefined {
    return this.#files.get(at(path))?.data;
  }

  /** Creates or replaces a file. */
  write(path: string, data: Buffer, mode = 0): void {
    const place = at(path);
    const before = this.#files.get(place);
    this.#parentOf(place);
    this.#files.set(place, { data, mode: mode || before?.mode || 0o644 });
    if (before === undefined) this.watches.tell(place, agentpb.FileChangeKind.CREATED, false);
    this.watches.tell(place, agentpb.FileChangeKind.WRITTEN, false);
  }

  stat(path: string) {
    const place = at(path);
    const { data, mode } = this.#find(place);
    const type = data === undefined ? FileType.DIRECTORY : FileType.REGULAR;
    return { name: posix.basename(place) || ".", type, mode, sizeBytes: BigInt(data?.length ?? 0) };
  }

  #called<T>(name: string, work: () => T): T {
    this.calls.push(name);
    return work();
  }

  #list({ path, pageSize, pageToken }: agentpb.ListFilesRequest) {
    const directory = at(path);
    if (this.#find(directory).data !== undefined) throw refused("no directory");
    const names = [...this.#files.keys()].filter((each) => each !== "/" && posix.dirname(each) === directory);
    const begin = Number(pageToken);
    const end = begin + (pageSize || 100);
    return {
      files: names.slice(begin, end).map((each) => this.stat(each)),
      nextPageToken: end < names.length ? String(end) : "",
    };
  }

  #remove({ path, recursive }: agentpb.RemoveFileRequest) {
    const place = at(path);
    if (place === "/") throw guestRefusal(FailureReason.INVALID, "the path does not end in a name");
    const { data } = this.#find(place);
    const below = [...this.#files.keys()].filter((each) => each.startsWith(`${place}/`));
    if (below.length > 0 && !recursive) throw refused("the directory is not empty");
    for (const each of [...below, place]) this.#files.delete(each);
    this.watches.tell(place, agentpb.FileChangeKind.REMOVED, data === undefined);
    return {};
  }

  #make({ path, mode, parents }: Pick<agentpb.MakeDirectoryRequest, "path" | "mode" | "parents">) {
    const place = at(path);
    const found = this.#files.get(place);
    if (found !== undefined && !(parents && found.data === undefined)) throw refused("the file exists");
    if (found !== undefined) return {};
    const parent = posix.dirname(place);
    if (parents && !this.#files.has(parent)) this.#make({ path: parent, mode: 0, parents });
    this.#parentOf(place);
    this.#files.set(place, { data: undefined, mode: mode || 0o755 });
    this.watches.tell(place, agentpb.FileChangeKind.CREATED, true);
    return {};
  }

  #data(path: string): Buffer {
    const { data } = this.#find(at(path));
    if (data === undefined) throw refused("the file is a directory");
    return data;
  }

  #parentOf(place: string): void {
    if (this.#find(posix.dirname(place)).data !== undefined) throw refused("no directory");
  }

  #find(place: string): FakeFile {
    const found = this.#files.get(place);
    if (found === undefined)
      throw guestRefusal(FailureReason.FILE_NOT_FOUND, `cannot open ${place}: no such file`);
    return found;
  }
}

/** A path as the agent resolves it: it never leads out of the root. */
const at = (path: string): string => posix.resolve("/", path);

const refused = (text: string) => guestRefusal(FailureReason.FILE_REFUSED, text);
