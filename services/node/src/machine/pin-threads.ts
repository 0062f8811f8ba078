import { execFile } from "node:child_process";
import { promisify } from "node:util";

const TIMEOUT_MS = 5000;

/**
 * Holds each thread to CPUs of the host, as lists such as "0-3,8", in the order of the threads. Node has no sched_setaffinity(2);
 * util-linux, which is needed anyway, brings `taskset`. Throws what the kernel refuses: no CPU of a list in the thread's cpuset.
 */
export async function pinThreads(
  threadIds: readonly number[],
  cpus: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = { signal, timeout: TIMEOUT_MS };
  await Promise.all(
    threadIds.slice(0, cpus.length).map(async (threadId, index) => {
      const list = cpus[index] ?? "";
      await promisify(execFile)("taskset", ["--cpu-list", "--pid", list, String(threadId)], options);
    }),
  );
}
