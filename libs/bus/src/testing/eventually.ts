const TIMEOUT_MS = 30_000;

/** Waits until `check` passes. Fails with its last error after 30 s. */
export async function eventually(check: () => unknown): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
