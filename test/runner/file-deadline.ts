/**
 * Preloaded into every test file. The runner's timeout is for one test. Without this, a file whose tests passed and which does
 * not exit, because a socket or a child is still open, would block the run.
 */

const deadlineMs = Number(process.env.PADDOCK_TEST_FILE_DEADLINE_MS ?? 300_000);

if (process.env.NODE_TEST_CONTEXT !== undefined) {
  setTimeout(() => {
    const open = process.getActiveResourcesInfo().join(", ");
    console.error(`${process.argv[1]} is not finished after ${deadlineMs} ms; still open: ${open}`);
    process.exit(1);
  }, deadlineMs).unref();
}
