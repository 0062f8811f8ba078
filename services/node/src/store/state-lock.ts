import { DatabaseSync } from "node:sqlite";
import { PaddockError } from "@paddock/domain";

/**
 * Takes the state directory for this process alone, until it is disposed of or the process ends in whatever way: a second
 * SQLite file is kept in an exclusive transaction, which is a lock the kernel releases. Throws NODE_UNAVAILABLE when another
 * daemon has it.
 */
export function lockState(file: string): Disposable {
  const database = new DatabaseSync(file);
  try {
    database.exec("PRAGMA journal_mode = DELETE; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw new PaddockError(
      "NODE_UNAVAILABLE",
      `another daemon works on this state directory (${file} is locked)`,
      {
        hint: "stop it first, or give each daemon a PADDOCK_STATE_DIR of its own",
        cause: error,
      },
    );
  }
  return { [Symbol.dispose]: () => database.close() };
}
