/**
 * The processes that serve directories of the host to VMs: one virtiofsd for each share.
 *
 * A server starts before its VM, in the VM's cgroup, and outlives the daemon like QEMU. It ends with its connection, so with its
 * VM. One that waits for a VM that never came, or that does not end by itself, is found by its command line. One that hides is
 * found by its cgroup.
 */
import { constants } from "node:fs";
import { access, chown, readdir, readFile, rm } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import {
  type DetachedProcess,
  endProcess,
  identify,
  isAlive,
  listeningSocket,
  type ProcessIdentity,
  shareServerOf,
  shareServerWords,
  spawnDetached,
  VIRTIOFSD,
} from "@paddock/qemu";
import { guestText } from "../agent/guest-text.ts";
import type { NodeLog } from "../node-log.ts";
import type { HostShare } from "../record/host-shares.ts";
import { parseVmId, sharePlace, type VmId, type VmPaths, vmsDir } from "../vm/vm-paths.ts";
import { type AllowedDirectories, openAllowed, pathOfHandle } from "./allowed-directory.ts";

export type ShareServersOptions = AllowedDirectories & { readonly log: NodeLog };

/** A VM that is about to start. */
export type ShareOwner = {
  readonly vm: VmPaths;
  /** User and group of the VM. */
  readonly uid: number;
  /** Command prefix that places a process in the VM's cgroup. */
  readonly placement: readonly string[];
};

/** Characters of a path in a status. A client chose it. */
const MAX_SHOWN_PATH = 256;

type Server = { readonly index: number; readonly identity: ProcessIdentity };

export class ShareServers {
  readonly #options: ShareServersOptions;
  /** Servers of VMs that this daemon started, or has asked for. */
  readonly #known = new Map<VmId, readonly Server[]>();
  readonly #ended = new Map<VmId, PromiseWithResolvers<void>>();

  constructor(options: ShareServersOptions) {
    this.#options = options;
  }

  /** Throws, before anything is changed, what `start` would throw: PATH_NOT_ALLOWED, FILE_NOT_FOUND or HOST_REFUSED. */
  async check(shares: readonly HostShare[]): Promise<void> {
    for (const { path } of shares) await (await openAllowed(path, this.#options)).close();
    if (shares.length > 0) await requireProgram();
  }

  /** Starts the server of a share. It listens when this resolves. */
  async start(share: HostShare, { vm, uid, placement }: ShareOwner): Promise<void> {
    const { socket } = sharePlace(vm, share.index);
    const server = await this.#spawn(share, vm, placement);
    const { identity } = server;
    this.#known.set(vm.id, [...(this.#known.get(vm.id) ?? []), { index: share.index, identity }]);
    void this.#watch(vm.id, share, server);
    // Only now can a client connect: virtiofsd's socket blocks, and this process has closed its copy.
    await chown(socket, uid, uid);
  }

  async #spawn(share: HostShare, vm: VmPaths, placement: readonly string[]): Promise<DetachedProcess> {
    const { socket, mountPoint } = sharePlace(vm, share.index);
    await using directory = await openAllowed(share.path, this.#options);
    await using listening = await listeningSocket(socket, { isBlocking: true });
    const owner = await directory.stat();
    const words = shareServerWords({
      cover: vmsDir(this.#options.stateDir),
      mountPoint,
      readOnly: share.readOnly,
      uid: owner.uid,
      gid: owner.gid,
    });
    return await spawnDetached([...placement, ...words], {
      cwd: pathOfHandle(directory),
      descriptors: [listening.fd],
    });
  }

  /** Ends all servers of a VM and removes their sockets. Succeeds when there are none. */
  async end(vm: VmPaths): Promise<void> {
    this.#known.delete(vm.id);
    this.#ended.delete(vm.id);
    const servers = (await this.#find()).filter(({ id }) => id === vm.id);
    await Promise.all(servers.map(({ identity }) => endProcess(identity, { graceMs: 0 })));
    const sockets = (await readdir(vm.dir).catch(() => [])).filter((name) => /^share\d\.sock$/.test(name));
    await Promise.all(sockets.map((name) => rm(`${vm.dir}/${name}`, { force: true })));
  }

  /** VMs with a running server. */
  async running(): Promise<readonly VmId[]> {
    return [...new Set((await this.#find()).map(({ id }) => id))];
  }

  /** What is wrong with the shares of a VM that runs; undefined when all are served. */
  async problem(vm: VmPaths, shares: readonly HostShare[]): Promise<string | undefined> {
    if (shares.length === 0) return undefined;
    const servers = this.#known.get(vm.id) ?? (await this.#find()).filter(({ id }) => id === vm.id);
    if (servers.length > 0) this.#known.set(vm.id, servers);
    const lost = shares.find(
      ({ index }) => !servers.some((server) => server.index === index && isAlive(server.identity)),
    );
    return lost === undefined
      ? undefined
      : `the host directory ${guestText(lost.path, MAX_SHOWN_PATH)} is no longer served: its virtiofsd has ended; programs that use it wait until the sandbox is stopped`;
  }

  /** Resolves when a server of the VM has ended that this daemon started. */
  ended(vm: VmId): Promise<void> {
    const ended = this.#ended.get(vm) ?? Promise.withResolvers<void>();
    this.#ended.set(vm, ended);
    return ended.promise;
  }

  async #watch(vm: VmId, { path }: HostShare, { exited, stderr, identity }: DetachedProcess): Promise<void> {
    const exit = await exited;
    const isExpected = !this.#known.get(vm)?.some((server) => server.identity === identity);
    // It ends without a failure when its VM ends.
    const isFailure = !isExpected && !(exit.kind === "exited" && exit.code === 0);
    if (isFailure) this.#options.log.warn({ vm, path, exit, stderr: stderr() }, "a virtiofsd has failed");
    this.#ended.get(vm)?.resolve();
  }

  /** All servers below this state directory, by their command lines: each is two processes. */
  async #find(): Promise<(Server & { readonly id: VmId })[]> {
    const directory = vmsDir(this.#options.stateDir);
    const found: (Server & { readonly id: VmId })[] = [];
    for (const entry of await readdir("/proc")) {
      if (!/^[0-9]+$/.test(entry)) continue;
      const words = (await readFile(`/proc/${entry}/cmdline`, "utf8").catch(() => "")).split("\0");
      const [name = "", share = ""] = shareServerOf(words, directory)?.split("/") ?? [];
      const [id, index] = [parseVmId(name), Number(/^share(\d)$/.exec(share)?.[1] ?? Number.NaN)];
      const identity = id === undefined ? undefined : identify(Number(entry));
      if (id !== undefined && identity !== undefined && !Number.isNaN(index))
        found.push({ id, index, identity });
    }
    return found;
  }
}

async function requireProgram(): Promise<void> {
  await access(VIRTIOFSD, constants.X_OK).catch((cause: unknown) => {
    throw new PaddockError("HOST_REFUSED", `the node has no ${VIRTIOFSD}, which serves host directories`, {
      hint: "install the package qemu-system-common of QEMU 7.2",
      cause,
    });
  });
}
