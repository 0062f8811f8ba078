import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { storeError } from "./store-error.ts";

const directory = mkdtempSync(join(tmpdir(), "paddock-store-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** The store's error for the error that SQLite throws at `sql`. */
function said(database: DatabaseSync, sql: string): unknown {
  try {
    database.exec(sql);
  } catch (error) {
    return storeError(error);
  }
  return assert.fail(`${sql} went well`);
}

const reasonOf = (error: unknown) => (error instanceof PaddockError ? error.reason : undefined);

test("a full disk is NO_DISK_SPACE, a read-only one STATE_UNWRITABLE, and a bug stays an internal error", () => {
  const file = join(directory, "a.db");
  using database = new DatabaseSync(file);
  database.exec("CREATE TABLE t (a BLOB); PRAGMA max_page_count = 3");
  assert.equal(reasonOf(said(database, "INSERT INTO t VALUES (zeroblob(100000))")), "NO_DISK_SPACE");
  using reader = new DatabaseSync(file, { readOnly: true });
  assert.equal(reasonOf(said(reader, "INSERT INTO t VALUES (1)")), "STATE_UNWRITABLE");
  assert.equal(reasonOf(said(database, "INSERT INTO nowhere VALUES (1)")), undefined);
});
