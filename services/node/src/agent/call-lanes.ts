/**
 * How many calls to one guest may be in progress, by kind.
 *
 * Streams of clients last as long as clients like, and a guest that does not answer holds every call until its deadline. So no
 * kind of call may take the room of another: health checks, stops, kills and the logs of 128 containers work however many execs
 * are open. The sum is below the number of streams that an agent serves at a time (2048, `link/mod.rs` of the agent), because
 * HTTP/2 would silently queue more.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";

const { ContainerService, FileService, NetworkService, ProcessService } = agentpb;

/** Header that names the lane of a call. It is removed before the call is sent. */
export const LANE_HEADER = "paddock-lane";
/** The lane of log followers: the daemon attaches to containers itself. */
export const LOG_LANE = "log";

const CLIENT_LANE = "client";
const FILE_LANE = "file";
/** Streams of clients: Exec, Attach, WaitProcess. */
const MAX_CLIENT_STREAMS = 512;
/** Connections to ports: each is a stream of its own, so they leave room for the execs. */
const MAX_PORT_STREAMS = 256;
/** Streams of files: CopyFrom, CopyTo, WatchFiles. Each may keep a window of bytes in the daemon and in the guest. */
export const MAX_FILE_STREAMS = 32;
/** One for each of 128 containers, and some that end while the next ones start. */
const MAX_LOG_STREAMS = 160;
/** Calls of each other method. */
const MAX_CALLS = 8;

const pathOf = ({ parent, name }: DescMethod): string => `/${parent.typeName}/${name}`;

const CLIENT_STREAMS: ReadonlySet<string> = new Set(
  [ProcessService.method.exec, ProcessService.method.attach, ProcessService.method.waitProcess].map(pathOf),
);

const FILE_STREAMS: ReadonlySet<string> = new Set(
  [FileService.method.copyFrom, FileService.method.copyTo, FileService.method.watchFiles].map(pathOf),
);

const PORT_STREAM = pathOf(NetworkService.method.portForward);

/** Methods that clients may call often at the same time. */
const OFTEN: ReadonlyMap<string, number> = new Map([
  [PORT_STREAM, MAX_PORT_STREAMS],
  [pathOf(ContainerService.method.killContainer), 64],
  [pathOf(ProcessService.method.signalProcess), 64],
  [pathOf(ProcessService.method.resizeTty), 64],
  [pathOf(ContainerService.method.listProcesses), 16],
  [pathOf(FileService.method.statFile), 64],
  [pathOf(FileService.method.listFiles), 16],
  [pathOf(FileService.method.removeFile), 32],
  [pathOf(FileService.method.makeDirectory), 32],
]);

export class CallLanes {
  readonly #underWay = new Map<string, number>();

  /** Takes a place for a call; the result gives it back. Throws TOO_MANY when its kind has no place left. */
  enter(path: string, named: unknown): () => void {
    const lane = laneOf(path, named);
    const count = this.#underWay.get(lane) ?? 0;
    const most = roomOf(lane);
    if (count >= most) throw full(lane, most);
    this.#underWay.set(lane, count + 1);
    return () => this.#underWay.set(lane, (this.#underWay.get(lane) ?? 1) - 1);
  }
}

function laneOf(path: string, named: unknown): string {
  if (named === LOG_LANE) return LOG_LANE;
  if (FILE_STREAMS.has(path)) return FILE_LANE;
  return CLIENT_STREAMS.has(path) ? CLIENT_LANE : path;
}

function roomOf(lane: string): number {
  if (lane === LOG_LANE) return MAX_LOG_STREAMS;
  if (lane === FILE_LANE) return MAX_FILE_STREAMS;
  return lane === CLIENT_LANE ? MAX_CLIENT_STREAMS : (OFTEN.get(lane) ?? MAX_CALLS);
}

function full(lane: string, most: number): PaddockError {
  if (lane === CLIENT_LANE)
    return new PaddockError("TOO_MANY", `the sandbox has ${most} streams of exec, attach and wait open`, {
      hint: "end some of them first, or let one process do the work of several",
    });
  if (lane === FILE_LANE)
    return new PaddockError("TOO_MANY", `the sandbox has ${most} copies and watches of files open`, {
      hint: "end some of them first",
      retryAfterMs: 1000,
    });
  if (lane === PORT_STREAM)
    return new PaddockError("TOO_MANY", `the sandbox has ${most} forwarded connections open`, {
      hint: "close some of them first",
      retryAfterMs: 1000,
    });
  const name = lane.slice(lane.lastIndexOf("/") + 1);
  return new PaddockError("TOO_MANY", `the guest of the sandbox has ${most} unanswered calls of ${name}`, {
    hint: "try again when some have been answered",
    retryAfterMs: 1000,
  });
}
