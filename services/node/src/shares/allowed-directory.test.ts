import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openAllowed, pathOfHandle } from "./allowed-directory.ts";

/** An allowed directory with a directory and links, beside a directory that is not allowed. */
function host(t: TestContext) {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "allowed-")));
  t.after(() => rmSync(base, { recursive: true, force: true }));
  for (const each of ["allowed/a/b", "allowed2", "outside", "state/vms"])
    mkdirSync(join(base, each), { recursive: true });
  writeFileSync(join(base, "allowed/a/b/file"), "");
  writeFileSync(join(base, "outside/secret"), "");
  symlinkSync("../outside", join(base, "allowed/relative"));
  symlinkSync(join(base, "outside"), join(base, "allowed/absolute"));
  symlinkSync("a", join(base, "allowed/inward"));
  const options = { allowed: [join(base, "allowed")], stateDir: join(base, "state") };
  const list = async (path: string, given: Partial<typeof options> = {}) => {
    await using directory = await openAllowed(join(base, path), { ...options, ...given });
    return readdirSync(pathOfHandle(directory));
  };
  return { base, list };
}

test("an allowed directory and those below it are opened", async (t) => {
  const { list } = host(t);
  assert.deepEqual(await list("allowed/a/b"), ["file"]);
  assert.ok((await list("allowed")).includes("a"));
});

for (const path of [
  "outside",
  "allowed2",
  "",
  "allowed/relative",
  "allowed/absolute",
  "allowed/inward/b",
  "allowed/a/b/file",
])
  test(`the path "${path}" is refused`, async (t) => {
    const { list } = host(t);
    await assert.rejects(list(path), { reason: "PATH_NOT_ALLOWED" });
  });

test("a directory that does not exist is not found", async (t) => {
  const { list } = host(t);
  await assert.rejects(list("allowed/none/b"), { reason: "FILE_NOT_FOUND" });
});

test("the node's state is not shared, from above or below, whatever the operator allows", async (t) => {
  const { base, list } = host(t);
  const allowed = [base];
  for (const path of ["", "state", "state/vms"])
    await assert.rejects(list(path, { allowed }), { reason: "PATH_NOT_ALLOWED" });
  assert.deepEqual(await list("outside", { allowed }), ["secret"]);
});

test("an opened directory stays the same when its path is replaced by a link", async (t) => {
  const { base } = host(t);
  const path = join(base, "allowed/a/b");
  await using directory = await openAllowed(path, {
    allowed: [join(base, "allowed")],
    stateDir: join(base, "state"),
  });
  renameSync(join(base, "allowed/a"), join(base, "moved"));
  symlinkSync("../outside", join(base, "allowed/a"));
  assert.deepEqual(readdirSync(pathOfHandle(directory)), ["file"]);
});

test("a path that changes between a directory and a link never leads outside", async (t) => {
  const { base, list } = host(t);
  const [path, aside, link] = [join(base, "allowed/a"), join(base, "allowed/x"), join(base, "allowed/y")];
  mkdirSync(join(base, "outside/b"));
  symlinkSync("../outside", link);
  let isOver = false;
  const swap = async () => {
    while (!isOver) {
      renameSync(path, aside);
      renameSync(link, path);
      await new Promise(setImmediate);
      renameSync(path, link);
      renameSync(aside, path);
      await new Promise(setImmediate);
    }
  };
  const swapping = swap();
  const seen = new Set<string>();
  for (let i = 0; i < 300; i++)
    await list("allowed/a/b").then(
      (names) => seen.add(names.join()),
      ({ reason }: { reason: string }) => seen.add(reason),
    );
  isOver = true;
  await swapping;
  assert.deepEqual(
    [...seen].filter((each) => !["file", "PATH_NOT_ALLOWED", "FILE_NOT_FOUND"].includes(each)),
    [],
  );
});
