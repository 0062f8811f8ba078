import { execFile } from "node:child_process";
import { promisify } from "node:util";

const TIMEOUT_MS = 5000;
/** `taskset` fails when a thread ends during the call. */
const TRIES = 3;

const taskset = async (args: readonly string[], options: { signal: AbortSignal; timeout: number }) =>
  void (await promisify(execFile)("taskset", args, options));

/**
 * Pins each thread to CPUs of the host, as lists such as "0-3,8", in the order of the threads. A thread that occurs several
 * times, because vCPUs share it, is pinned to the CPUs of all its lists. Node has no sched_setaffinity(2); `taskset` is part of
 * util-linux, which is needed anyway. Throws when the kernel refuses a list, because none of its CPUs is in the thread's
 * cpuset.
 */
export async function pinThreads(
  threadIds: readonly number[],
  cpus: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = { signal, timeout: TIMEOUT_MS };
  const lists = Map.groupBy(cpus.slice(0, threadIds.length), (_, index) => threadIds[index]);
  await Promise.all(
    [...lists].map(([threadId, each]) =>
      taskset(["--cpu-list", "--pid", each.join(","), String(threadId)], options),
    ),
  );
}

/** Pins all threads of a process to a list of CPUs of the host; threads that they start inherit it. */
export async function pinProcess(pid: number, cpus: string, signal: AbortSignal): Promise<void> {
  const pin = () =>
    taskset(["--all-tasks", "--cpu-list", "--pid", cpus, String(pid)], { signal, timeout: TIMEOUT_MS });
  for (let left = TRIES - 1; left > 0; left--) {
    try {
      return await pin();
    } catch {
      signal.throwIfAborted();
    }
  }
  await pin();
}
