/** The use of the host by a service that was started with `measured`. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";

export type ServiceFigures = {
  readonly descriptors: number;
  readonly threads: number;
  /** Of its heap and its buffers, after garbage was collected. */
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

/** The longest time in milliseconds for which the event loop of a `measured` service was blocked since this was asked last; 0 at first. */
export async function longestBlockOf(service: ChildProcess): Promise<number> {
  const answer = once(service, "message");
  service.send("block");
  const [{ longestBlockMs }] = (await answer) as [{ longestBlockMs: number }];
  return longestBlockMs;
}
