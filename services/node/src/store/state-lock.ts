import { DatabaseSync } from "node:sqlite";
import { PaddockError } from "@paddock/domain";

/**
 * Locks the state directory for this process, until the lock is disposed of or the process exits in any way: a second SQLite file
 * stays in an exclusive transaction, whose lock the kernel releases. Throws NODE_UNAVAILABLE if another daemon has the lock.
 */
export function lockState(file: string): Disposable {
  const database = new DatabaseSync(file);
  try {
    database.exec("PRAGMA journal_mode = DELETE; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw new PaddockError(
      "NODE_UNAVAILABLE",
      `another daemon uses this state directory (${file} is locked)`,
      {
        hint: "stop it first, or give each daemon a PADDOCK_STATE_DIR of its own",
        cause: error,
      },
    );
  }
  return { [Symbol.dispose]: () => database.close() };
}
