/**
 * Releases resources when SIGINT or SIGTERM ends this process. VMs and control groups outlive the process that started them, so
 * without this an interrupted benchmark leaves them behind.
 */
const PATIENCE_MS = 60_000;
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

const inUse = new Set<AsyncDisposable>();

function onSignal(signal: keyof typeof SIGNALS): void {
  const exit = () => process.exit(128 + SIGNALS[signal]);
  setTimeout(exit, PATIENCE_MS);
  void Promise.allSettled([...inUse].map((each) => each[Symbol.asyncDispose]())).then(exit);
}

/** From now on a signal disposes of `resource`, until the returned function is called. */
export function disposeOnSignal(resource: AsyncDisposable): () => void {
  if (inUse.size === 0) process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  inUse.add(resource);
  return () => {
    inUse.delete(resource);
    if (inUse.size === 0) process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  };
}
