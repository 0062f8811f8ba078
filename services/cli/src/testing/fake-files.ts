/** Files of containers for tests: a local directory for each sandbox, which GNU tar reads and writes. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, readlinkSync, realpathSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type FakeApi, type FakeSource, FakeTransfers } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { type CopyFromRequest, type CopyToStart, FileService, FileType } from "@paddock/protocol";

type Path = { readonly sandboxId: string; readonly path: string; readonly follow?: boolean };

export class FakeFiles {
  readonly transfers: FakeTransfers;
  /** What was written, in order. */
  readonly starts: CopyToStart[] = [];
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.transfers = new FakeTransfers(
      (bytes) => createHash("sha256").update(bytes).digest(),
      (request) => this.#read(request),
    );
    this.transfers.write = (start, bytes) => this.#write(start, bytes);
  }

  serve(api: FakeApi): this {
    api.unary(FileService.method.statFile, (request) => ({ file: this.#info(this.#find(request)) }));
    this.transfers.serve(api);
    return this;
  }

  /** Links here are relative: they must not lead out of the root. */
  #find({ sandboxId, path, follow }: Path): { path: string; stats: Stats } {
    const here = join(this.#root, sandboxId, path);
    const found = lstatSync(here, { throwIfNoEntry: false });
    if (!found) throw new PaddockError("FILE_NOT_FOUND", `there is no file "${path}"`);
    if (!follow || !found.isSymbolicLink()) return { path: here, stats: found };
    const target = realpathSync(here);
    return { path: target, stats: lstatSync(target) };
  }

  #info({ path, stats }: { path: string; stats: Stats }) {
    const isLink = stats.isSymbolicLink();
    const kind = stats.isDirectory() ? FileType.DIRECTORY : isLink ? FileType.SYMLINK : FileType.REGULAR;
    const type = kind === FileType.REGULAR && !stats.isFile() ? FileType.OTHER : kind;
    return { name: basename(path), type, linkTarget: isLink ? readlinkSync(path) : "" };
  }

  #read(request: CopyFromRequest): FakeSource {
    const found = this.#find(request);
    const [directory, name] =
      request.path === "/" ? [found.path, "."] : [dirname(found.path), basename(found.path)];
    const options = ["--format=posix", "--sparse", "--xattrs", "--numeric-owner", "-C", directory];
    const { stdout } = spawnSync("tar", [...options, "-c", name], { maxBuffer: 1024 ** 3 });
    return { file: this.#info(found), bytes: stdout };
  }

  #write(start: CopyToStart, bytes: Buffer): { entries: bigint } {
    this.starts.push(start);
    const { path } = this.#find({ ...start, follow: true });
    const options = ["--same-permissions", "--numeric-owner", "--delay-directory-restore", "-v", "-C", path];
    const owner = start.owner ? ["--no-same-owner"] : ["--same-owner"];
    const { status, stdout, stderr } = spawnSync("tar", ["-x", ...options, ...owner], { input: bytes });
    if (status !== 0) throw new PaddockError("INVALID_ARCHIVE", stderr.toString());
    return { entries: BigInt(stdout.toString().split("\n").length - 1) };
  }
}
