import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { type ReadFile, WatchedFiles } from "./watched-files.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "watched-"));
});
afterEach(() => rmSync(directory, { recursive: true }));
const at = (...names: string[]) => join(directory, ...names);

/** Watches with a parser that accepts anything but "half", and returns each value or problem in turn. */
function watching(paths: readonly string[]) {
  const events: string[] = [];
  let wake = Promise.withResolvers<void>();
  const tell = (text: string) => {
    events.push(text);
    wake.resolve();
  };
  const files = new WatchedFiles({
    paths,
    parse: (read: readonly ReadFile[]) => {
      const text = read.map(({ bytes }) => bytes.toString()).join("+");
      if (text.includes("half")) throw new Error(`no sense in ${text}`);
      return text;
    },
    onProblem: ({ message }) => tell(`problem: ${message}`),
  });
  files.onChange((value) => tell(value));
  return {
    files,
    next: async () => {
      while (events.length === 0) {
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
      return events.shift();
    },
    [Symbol.dispose]: () => files[Symbol.dispose](),
  };
}

const renameOver = (path: string, text: string) => {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
};

test("a file is read again when it is written in place or another is renamed over it", async () => {
  writeFileSync(at("token"), "one");
  using watched = watching([at("token")]);
  assert.equal(watched.files.current, "one");
  renameOver(at("token"), "two");
  assert.equal(await watched.next(), "two");
  writeFileSync(at("token"), "three");
  let value = await watched.next();
  // The truncation before the write may be seen separately.
  if (value === "") value = await watched.next();
  assert.equal(value, "three");
  assert.equal(watched.files.current, "three");
});

test("a changed symbolic link is noticed anywhere in the path", async () => {
  // As Kubernetes mounts a secret: token -> ..data/token, ..data -> ..1.
  for (const version of ["1", "2"]) {
    mkdirSync(at("volume", `..${version}`), { recursive: true });
    writeFileSync(at("volume", `..${version}`, "token"), `mounted ${version}`);
  }
  symlinkSync("..1", at("volume", "..data"));
  symlinkSync(join("..data", "token"), at("volume", "token"));
  symlinkSync("volume", at("current"));
  using watched = watching([at("current", "token")]);
  assert.equal(watched.files.current, "mounted 1");
  symlinkSync("..2", at("volume", "..tmp"));
  renameSync(at("volume", "..tmp"), at("volume", "..data"));
  assert.equal(await watched.next(), "mounted 2");
  mkdirSync(at("other"));
  writeFileSync(at("other", "token"), "other");
  symlinkSync("other", at("current.new"));
  renameSync(at("current.new"), at("current"));
  assert.equal(await watched.next(), "other");
  renameOver(at("other", "token"), "other 2");
  assert.equal(await watched.next(), "other 2");
});

test("invalid or missing files are reported once and change nothing; valid ones later are used", async () => {
  writeFileSync(at("certificate"), "c1");
  writeFileSync(at("key"), "k1");
  using watched = watching([at("certificate"), at("key")]);
  renameOver(at("certificate"), "half");
  assert.equal(await watched.next(), "problem: no sense in half+k1");
  assert.equal(watched.files.current, "c1+k1");
  rmSync(at("certificate"));
  assert.match((await watched.next()) ?? "", /^problem: .*certificate cannot be read: ENOENT/);
  assert.equal(watched.files.current, "c1+k1");
  renameOver(at("certificate"), "c2");
  assert.equal(await watched.next(), "c2+k1");
});

test("a change of permissions counts as a change", async () => {
  writeFileSync(at("secret"), "s", { mode: 0o600 });
  using watched = watching([at("secret")]);
  chmodSync(at("secret"), 0o644);
  assert.equal(await watched.next(), "s");
});

test("anything but a regular file is refused", () => {
  for (const path of [at(), at("missing"), "/dev/zero"])
    assert.throws(() => watching([path]), /cannot be read/);
});
