import { DatabaseSync } from "node:sqlite";
import type { TestContext } from "node:test";

/** Value of `PRAGMA synchronous`: each transaction waits for the disk. */
const FULL = 2;

/**
 * Counts the transactions of SQLite that change something and wait for the disk, from now to the end of the test: with a
 * write-ahead log each of them is one fsync.
 */
export function countSyncs(t: TestContext): () => number {
  let syncs = 0;
  let changesBefore = 0;
  const exec = DatabaseSync.prototype.exec;
  t.mock.method(DatabaseSync.prototype, "exec", function (this: DatabaseSync, sql: string) {
    const changes = () => Number(this.prepare("SELECT total_changes() AS rows").get()?.rows);
    if (sql.startsWith("BEGIN")) changesBefore = changes();
    const waits = () => this.prepare("PRAGMA synchronous").get()?.synchronous === FULL;
    if (sql === "COMMIT" && changes() > changesBefore && waits()) syncs += 1;
    exec.call(this, sql);
  });
  return () => syncs;
}
