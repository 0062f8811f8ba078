/**
 * Disk space that the state reserves, so that it can still be written when the rest of the disk is full: to record that a VM was
 * lost, or that a sandbox is deleted to make room.
 *
 * SQLite reuses the space of its files: freed pages of the database, and the write-ahead log from its start after each checkpoint,
 * which happens every 1000 pages. So a blob is written once and deleted. On a copy-on-write file system this has no effect.
 */
import type { DatabaseSync } from "node:sqlite";
import { hasReason } from "@paddock/domain";
import { storeError } from "./store-error.ts";

const RESERVE_BYTES = 4 * 1024 * 1024;

/** Creates the reserve in a newly opened database. On a full disk there is none, and no error. */
export function keepReserve(database: DatabaseSync): void {
  try {
    database.exec("CREATE TABLE IF NOT EXISTS reserve (filler BLOB NOT NULL) STRICT");
    database.prepare("INSERT INTO reserve (filler) VALUES (zeroblob(?))").run(RESERVE_BYTES);
    database.exec("DELETE FROM reserve; PRAGMA wal_checkpoint(PASSIVE)");
  } catch (error) {
    const told = storeError(error);
    if (!hasReason(told, "NO_DISK_SPACE")) throw told;
  }
}
