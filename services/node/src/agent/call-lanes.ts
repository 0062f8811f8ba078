/**
 * How many calls on one guest may be in progress, by kind.
 *
 * Streams of clients last as long as clients like, and a guest that answers nothing holds every call until its deadline. So no
 * kind of call may take the room of another: health, stops and kills get through however many execs are open, and so do the
 * logs of 128 containers. Together they are fewer than the streams an agent serves at one time (1024, `link/mod.rs` of the
 * agent), because HTTP/2 would silently queue the streams beyond that.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";

const { ContainerService, ProcessService } = agentpb;

/** Header by which a call names its lane; it does not leave the session. */
export const LANE_HEADER = "paddock-lane";
/** The lane of the followers of containers' logs, whose attaches the daemon makes itself. */
export const LOG_LANE = "log";

const CLIENT_LANE = "client";
/** Streams of clients: Exec, Attach, WaitProcess. */
const MAX_CLIENT_STREAMS = 512;
/** One for each of 128 containers, and some that end while the next ones start. */
const MAX_LOG_STREAMS = 160;
/** Calls of each other method. */
const MAX_CALLS = 8;

const pathOf = ({ parent, name }: DescMethod): string => `/${parent.typeName}/${name}`;

const CLIENT_STREAMS: ReadonlySet<string> = new Set(
  [ProcessService.method.exec, ProcessService.method.attach, ProcessService.method.waitProcess].map(pathOf),
);

/** Methods that clients may call in any number at one time. */
const OFTEN: ReadonlyMap<string, number> = new Map([
  [pathOf(ContainerService.method.killContainer), 64],
  [pathOf(ProcessService.method.signalProcess), 64],
  [pathOf(ProcessService.method.resizeTty), 64],
  [pathOf(ContainerService.method.listProcesses), 16],
]);

export class CallLanes {
  readonly #underWay = new Map<string, number>();

  /** Counts a call in; the result counts it out. Throws TOO_MANY when there is no room for another of its kind. */
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
  return CLIENT_STREAMS.has(path) ? CLIENT_LANE : path;
}

function roomOf(lane: string): number {
  if (lane === LOG_LANE) return MAX_LOG_STREAMS;
  return lane === CLIENT_LANE ? MAX_CLIENT_STREAMS : (OFTEN.get(lane) ?? MAX_CALLS);
}

function full(lane: string, most: number): PaddockError {
  if (lane === CLIENT_LANE)
    return new PaddockError("TOO_MANY", `the sandbox has ${most} streams of exec, attach and wait open`, {
      hint: "end some of them first, or let one process do the work of several",
    });
  const name = lane.slice(lane.lastIndexOf("/") + 1);
  return new PaddockError("TOO_MANY", `the guest of the sandbox has ${most} calls of ${name} to answer`, {
    hint: "try again when some were answered",
    retryAfterMs: 1000,
  });
}
