/** The rules of docker cp, each in three directions: into a container, out of one, and between two. */
import assert from "node:assert/strict";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { FakeFiles } from "../testing/fake-files.ts";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli } from "../testing/run-in-process.ts";

const base = mkdtempSync(join(tmpdir(), "paddock-cp-"));
after(() => rmSync(base, { recursive: true }));

const api = await FakeApi.start();
after(() => api[Symbol.asyncDispose]());
serveSandboxes(api, [fakeSandbox("one"), fakeSandbox("two")]);
new FakeFiles(base).serve(api);

/** What exists at the destination "d" before. */
const BEFORE: Readonly<Record<string, (d: string) => void>> = {
  missing: () => {},
  "a file": (d) => writeFileSync(d, "old"),
  "a directory": (d) => {
    mkdirSync(d);
    writeFileSync(join(d, "old"), "old");
  },
  "a link to a directory": (d) => {
    mkdirSync(`${d}-real`);
    symlinkSync("d-real", d);
  },
  "a link to a file": (d) => {
    writeFileSync(`${d}-real`, "old");
    symlinkSync("d-real", d);
  },
  "a link to nothing": (d) => symlinkSync("d-real", d),
  "a directory with a file of that name": (d) => {
    mkdirSync(join(d, "dir"), { recursive: true });
    writeFileSync(join(d, "dir", "old"), "old");
  },
};

type Row = {
  readonly src: string;
  readonly dest: string;
  readonly suffix?: string;
  readonly follow?: true;
  readonly expect: readonly string[] | RegExp;
};

const TREE = ["a=A", "sub/", "sub/b=B"];
const below = (path: string, rest: readonly string[] = TREE) => [
  `${path}/`,
  ...rest.map((each) => `${path}/${each}`),
];

const ROWS: readonly Row[] = [
  { src: "file", dest: "missing", expect: ["d=F"] },
  { src: "file", dest: "missing", suffix: "/", expect: /there is no directory "\S*d"/ },
  { src: "file", dest: "a file", expect: ["d=F"] },
  { src: "file", dest: "a file", suffix: "/", expect: /d" is not a directory/ },
  { src: "file", dest: "a directory", expect: ["d/", "d/file=F", "d/old=old"] },
  { src: "file", dest: "a directory", suffix: "/", expect: ["d/", "d/file=F", "d/old=old"] },
  { src: "file", dest: "a link to a directory", expect: ["d -> d-real", "d-real/", "d-real/file=F"] },
  { src: "file", dest: "a link to a file", expect: ["d -> d-real", "d-real=F"] },
  { src: "file", dest: "a link to nothing", expect: ["d -> d-real", "d-real=F"] },
  { src: "file/", dest: "missing", expect: /file" is not a directory/ },
  { src: "file/.", dest: "missing", expect: /file" is not a directory/ },
  { src: "dir", dest: "missing", expect: below("d") },
  { src: "dir", dest: "missing", suffix: "/", expect: below("d") },
  { src: "dir/.", dest: "missing", expect: below("d") },
  { src: "dir", dest: "a file", expect: /cannot copy a directory to "\S*d", which is a file/ },
  { src: "dir", dest: "a directory", expect: ["d/", ...below("d/dir"), "d/old=old"] },
  { src: "dir/", dest: "a directory", expect: ["d/", ...below("d/dir"), "d/old=old"] },
  { src: "dir/.", dest: "a directory", expect: ["d/", "d/a=A", "d/old=old", "d/sub/", "d/sub/b=B"] },
  {
    src: "dir",
    dest: "a directory with a file of that name",
    expect: ["d/", ...below("d/dir", ["a=A", "old=old", "sub/", "sub/b=B"])],
  },
  { src: "dir", dest: "a link to a directory", expect: ["d -> d-real", "d-real/", ...below("d-real/dir")] },
  { src: "link", dest: "missing", expect: ["d -> file"] },
  { src: "link", dest: "missing", follow: true, expect: ["d=F"] },
  { src: "link", dest: "a directory", follow: true, expect: ["d/", "d/link=F", "d/old=old"] },
  { src: "dirlink", dest: "missing", expect: ["d -> dir"] },
  { src: "dirlink/", dest: "a directory", expect: ["d/", ...below("d/dirlink"), "d/old=old"] },
  { src: "dirlink", dest: "missing", follow: true, expect: below("d") },
  { src: "none", dest: "missing", expect: /there is no file "\S*none"/ },
];

function listing(directory: string, prefix = ""): string[] {
  return readdirSync(directory)
    .sort()
    .flatMap((name) => {
      const path = join(directory, name);
      const stats = lstatSync(path);
      if (stats.isSymbolicLink()) return [`${prefix}${name} -> ${readlinkSync(path)}`];
      if (stats.isDirectory()) return [`${prefix}${name}/`, ...listing(path, `${prefix}${name}/`)];
      return [`${prefix}${name}=${readFileSync(path)}`];
    });
}

/** A new place for a source and one for a destination, and how they are written. */
const DIRECTIONS: Readonly<Record<string, readonly [(n: string) => Side, (n: string) => Side]>> = {
  "into a container": [here, (n) => inside("one", n)],
  "out of a container": [(n) => inside("one", n), here],
  "between containers": [(n) => inside("one", n), (n) => inside("two", n)],
};

type Side = { readonly path: string; readonly word: string };

function here(name: string): Side {
  const path = join(base, "local", name);
  return { path, word: path };
}

function inside(sandboxId: string, name: string): Side {
  return { path: join(base, sandboxId, name), word: `${sandboxId}:/${name}` };
}

let number = 0;
for (const [direction, [from, to]] of Object.entries(DIRECTIONS))
  describe(direction, () => {
    for (const { src, dest, suffix = "", follow, expect } of ROWS)
      test(`"${src}"${follow ? " with -L" : ""} to "d${suffix}", which is ${dest}`, async () => {
        number += 1;
        const [source, target] = [from(`s${number}`), to(`t${number}`)];
        mkdirSync(join(source.path, "dir", "sub"), { recursive: true });
        writeFileSync(join(source.path, "file"), "F");
        writeFileSync(join(source.path, "dir/a"), "A");
        writeFileSync(join(source.path, "dir/sub/b"), "B");
        symlinkSync("file", join(source.path, "link"));
        symlinkSync("dir", join(source.path, "dirlink"));
        mkdirSync(target.path, { recursive: true });
        BEFORE[dest]?.(join(target.path, "d"));
        const words = [...(follow ? ["-L"] : []), `${source.word}/${src}`, `${target.word}/d${suffix}`];
        const before = listing(target.path);
        const { code, err } = await cli(api, ["cp", ...words]);
        if (expect instanceof RegExp) {
          assert.match(err, expect);
          assert.equal(code, 1);
          assert.deepEqual(listing(target.path), before);
        } else {
          assert.equal(code, 0, err);
          assert.deepEqual(listing(target.path), [...expect].sort(byPath));
        }
      });

    test("to a directory that does not exist", async () => {
      number += 1;
      const [source, target] = [from(`s${number}`), to(`t${number}`)];
      mkdirSync(source.path, { recursive: true });
      writeFileSync(join(source.path, "file"), "F");
      const { code, err } = await cli(api, ["cp", `${source.word}/file`, `${target.word}/no/d`]);
      assert.equal(code, 1);
      assert.match(err, /there is no (file|directory) "/);
    });
  });

const byPath = (a: string, b: string): number => (key(a) < key(b) ? -1 : 1);
/** Names in the order of a listing: a directory before its content. */
const key = (line: string): string => line.replace(/( ->|=).*$/, "").replaceAll("/", "\u0001");
