/** The resource usage of a service that was started with `measured`. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";

export type ServiceFigures = {
  readonly descriptors: number;
  readonly threads: number;
  /** Memory of its heap and its buffers, after a garbage collection. */
  readonly heldBytes: number;
  readonly residentBytes: number;
};

export async function figuresOf(service: ChildProcess): Promise<ServiceFigures> {
  const answer = once(service, "message");
  service.send("measure");
  const [memory] = (await answer) as [Pick<ServiceFigures, "heldBytes" | "residentBytes">];
  const count = (of: string) => readdirSync(`/proc/${service.pid}/${of}`).length;
  return { descriptors: count("fd"), threads: count("task"), ...memory };
}

/** The longest block of the event loop of a `measured` service since the last call, in milliseconds; 0 at first. */
export async function longestBlockOf(service: ChildProcess): Promise<number> {
  const answer = once(service, "message");
  service.send("block");
  const [{ longestBlockMs }] = (await answer) as [{ longestBlockMs: number }];
  return longestBlockMs;
}
