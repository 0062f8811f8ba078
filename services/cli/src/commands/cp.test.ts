import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { FakeFiles } from "../testing/fake-files.ts";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli, startCli } from "../testing/run-in-process.ts";

const base = mkdtempSync(join(tmpdir(), "paddock-cp-"));
after(() => rmSync(base, { recursive: true }));
const MIB = 1024 * 1024;

type World = AsyncDisposable & {
  readonly api: FakeApi;
  readonly files: FakeFiles;
  readonly here: string;
  /** The root of the container "main" of "web". */
  readonly inside: string;
};

async function world(): Promise<World> {
  const root = mkdtempSync(join(base, "world-"));
  const api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web", ["main", "side"])]);
  const files = new FakeFiles(root).serve(api);
  const [here, inside] = [join(root, "here"), join(root, "web")];
  mkdirSync(here);
  mkdirSync(inside);
  return { api, files, here, inside, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

/** Names, types, modes, owners, times, sizes, link counts and contents of a tree, as find and sha256sum see them. */
function portrait(directory: string): readonly string[] {
  const format = "%P %y %m %U %G %T@ %s %n %l\\n";
  const list = execFileSync("find", [directory, "-mindepth", "1", "-printf", format], { encoding: "latin1" });
  const sums = spawnSync("sh", ["-c", "find . -type f -exec sha256sum {} +"], { cwd: directory });
  return [...list.split("\n"), ...sums.stdout.toString("latin1").split("\n")].sort();
}

const difference = (a: readonly string[], b: readonly string[]): readonly string[] => [
  ...a.filter((line) => !b.includes(line)).map((line) => `- ${line}`),
  ...b.filter((line) => !a.includes(line)).map((line) => `+ ${line}`),
];

function makeTree(directory: string): void {
  mkdirSync(join(directory, "sub/empty"), { recursive: true });
  mkdirSync(join(directory, "deep/".repeat(60)), { recursive: true });
  writeFileSync(join(directory, "deep/".repeat(60), "n".repeat(200)), "deep");
  writeFileSync(join(directory, "script"), "#!/bin/sh\n");
  chmodSync(join(directory, "script"), 0o755);
  linkSync(join(directory, "script"), join(directory, "sub/same"));
  symlinkSync("../script", join(directory, "sub/relative"));
  symlinkSync(`/${"far/".repeat(50)}`, join(directory, "absolute"));
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/bytes-`), Buffer.from([0xff, 0xfe])]), "not text");
  writeFileSync(join(directory, "ünïcode"), Buffer.alloc(700_000, "abc"));
  const holes = openSync(join(directory, "holes"), "w");
  writeSync(holes, "end", 8 * MIB);
  closeSync(holes);
  chmodSync(join(directory, "sub/empty"), 0o500);
  execFileSync("find", [directory, "-exec", "touch", "-h", "-d", "@1000000000.25", "{}", "+"]);
  utimesSync(join(directory, "sub"), 999_999_999.5, 999_999_999.5);
}

test("a tree keeps modes, times, links, holes and names in both directions", async () => {
  await using w = await world();
  const tree = join(w.here, "tree");
  mkdirSync(tree);
  makeTree(tree);
  const into = await cli(w.api, ["cp", "-a", tree, "web:/tree"]);
  assert.equal(into.code, 0, into.err);
  assert.deepEqual(difference(portrait(tree), portrait(join(w.inside, "tree"))), []);
  const out = await cli(w.api, ["cp", "-a", "web/main:/tree/.", join(w.here, "copy")]);
  assert.equal(out.code, 0, out.err);
  assert.deepEqual(difference(portrait(tree), portrait(join(w.here, "copy"))), []);
  for (const copy of [join(w.inside, "tree"), join(w.here, "copy")])
    assert.ok(statSync(join(copy, "holes")).blocks < 2048, "holes are written");
});

test("copies belong to root in the container, and with -a to their owners", async () => {
  await using w = await world();
  writeFileSync(join(w.here, "f"), "f");
  await cli(w.api, ["cp", join(w.here, "f"), "web:/f"]);
  await cli(w.api, ["cp", "-a", join(w.here, "f"), "web:/f"]);
  assert.deepEqual(
    w.files.starts.map(({ owner }) => owner && [owner.uid, owner.gid]),
    [[0, 0], undefined],
  );
});

test("an archive goes from stdin into a directory, and from a container to stdout", async () => {
  await using w = await world();
  mkdirSync(join(w.inside, "jobs"));
  mkdirSync(join(w.here, "src"));
  writeFileSync(join(w.here, "src/f"), "content");
  const run = startCli(w.api, ["-q", "cp", "-", "web:/jobs"]);
  run.stdin.end(execFileSync("tar", ["-C", w.here, "-c", "src"]));
  assert.equal(await run.exit, 0, run.err());
  assert.equal(run.out() + run.err(), "");
  assert.equal(readFileSync(join(w.inside, "jobs/src/f"), "utf8"), "content");
  const out = startCli(w.api, ["cp", "web:/jobs/src", "-"]);
  assert.equal(await out.exit, 0, out.err());
  const list = execFileSync("tar", ["-t"], { input: Buffer.from(out.out()), encoding: "utf8" });
  assert.equal(list, "src/\nsrc/f\n");
});

test("stdin goes only into a directory that exists", async () => {
  await using w = await world();
  writeFileSync(join(w.inside, "file"), "");
  for (const path of ["/file", "/none"]) {
    const { code, err } = await cli(w.api, ["cp", "-", `web:${path}`]);
    assert.equal(code, 1);
    assert.match(err, /is not a directory/);
  }
});

test("-o json prints what was copied, and -q nothing", async () => {
  await using w = await world();
  writeFileSync(join(w.here, "f"), "12345");
  const source = join(w.here, "f");
  const { out, err } = await cli(w.api, ["-o", "json", "cp", source, "web:/f"]);
  const expected = { source, destination: "web:/f", entries: 1, bytes: 5, skipped: 0, warnings: [] };
  assert.deepEqual(JSON.parse(out), expected);
  assert.match(err, /^✓ copied \S+ to web:\/f \(1 entry, 5B\) \(/);
  const quiet = await cli(w.api, ["cp", "-q", "web:/f", join(w.here, "g")]);
  assert.deepEqual([quiet.out, quiet.err, quiet.code], ["", "", 0]);
});

for (const [words, wanted] of [
  [["a", "b"], /neither SRC nor DEST is in a sandbox/],
  [["-", "-"], /neither SRC nor DEST is in a sandbox/],
  [["web:", "b"], /"web:" has no path/],
  [[":/x", "b"], /":\/x" has no sandbox/],
  [["", "web:/x"], /an operand is empty/],
  [["-o", "json", "web:/x", "-"], /exclude each other/],
  [["./a:b", "c"], /neither SRC nor DEST is in a sandbox/],
] as const)
  test(`"cp ${words.join(" ")}" is a usage error`, async () => {
    await using w = await world();
    const { code, err } = await cli(w.api, ["cp", ...words]);
    assert.equal(code, 2, err);
    assert.match(err, wanted);
  });

test("a local name with a colon is written with ./", async () => {
  await using w = await world();
  writeFileSync(join(w.here, "a:b"), "colon");
  const { code, err } = await cli(w.api, ["cp", `${w.here}/a:b`, "web:/f"]);
  assert.equal(code, 0, err);
  assert.equal(readFileSync(join(w.inside, "f"), "utf8"), "colon");
});

test("a copy continues after its connection broke, in both directions", async () => {
  await using w = await world();
  writeFileSync(join(w.here, "big"), Buffer.alloc(3 * MIB, "0123456789"));
  let breaks = [MIB, 2 * MIB];
  w.files.transfers.onChunk = (end) => {
    if (end < (breaks[0] ?? Number.POSITIVE_INFINITY)) return;
    breaks = breaks.slice(1);
    w.api.cut();
  };
  const into = await cli(w.api, ["cp", join(w.here, "big"), "web:/big"]);
  assert.deepEqual([into.code, breaks.length], [0, 0], into.err);
  assert.match(into.err, /note: connection lost, reconnecting/);
  breaks = [MIB, 2 * MIB];
  const out = await cli(w.api, ["cp", "web:/big", join(w.here, "copy")]);
  assert.deepEqual([out.code, breaks.length], [0, 0], out.err);
  assert.ok(readFileSync(join(w.here, "copy")).equals(readFileSync(join(w.here, "big"))));
});

test("an interrupted copy leaves no half file, keeps the old one, and says what was copied", async () => {
  await using w = await world();
  mkdirSync(join(w.inside, "d"));
  writeFileSync(join(w.inside, "d/1"), "first");
  writeFileSync(join(w.inside, "d/2"), Buffer.alloc(3 * MIB, "new"));
  mkdirSync(join(w.here, "copy/d"), { recursive: true });
  writeFileSync(join(w.here, "copy/d/2"), "old");
  const run = startCli(w.api, ["cp", "web:/d", join(w.here, "copy")]);
  w.files.transfers.onChunk = (end) => {
    if (end < 2 * MIB) return;
    w.files.transfers.onChunk = () => {};
    run.signals.emit("SIGINT");
  };
  assert.equal(await run.exit, 130);
  assert.match(run.err(), /note: interrupted; copied before: \d entr/);
  assert.equal(readFileSync(join(w.here, "copy/d/2"), "utf8"), "old");
  assert.ok(readdirSync(join(w.here, "copy/d")).every((name) => name === "1" || name === "2"));
});

test("a file whose bytes were damaged on the way does not take its place", async () => {
  await using w = await world();
  writeFileSync(join(w.inside, "f"), "content");
  const { read } = w.files.transfers;
  w.files.transfers.read = async (request) => ({
    ...(await read(request)),
    end: { sha256: Buffer.alloc(32) },
  });
  const { code, err } = await cli(w.api, ["cp", "web:/f", join(w.here, "f")]);
  assert.equal(code, 1);
  assert.match(err, /cannot copy from web: the transferred bytes do not have the expected SHA-256/);
  assert.deepEqual(readdirSync(w.here), []);
});

test("a copy that the guest has forgotten is told as such", async () => {
  await using w = await world();
  writeFileSync(join(w.here, "big"), Buffer.alloc(2 * MIB));
  w.files.transfers.onChunk = (end) => {
    if (end < MIB) return;
    w.files.transfers.forget();
    w.api.cut();
  };
  const { code, err } = await cli(w.api, ["cp", join(w.here, "big"), "web:/big"]);
  assert.equal(code, 1);
  assert.match(
    err,
    /the transfer broke after \d+ bytes and cannot be continued\n {2}sent before: 1 entry, \S+\nhint: start/,
  );
  assert.equal(existsSync(join(w.inside, "big")), false);
});

test("warnings of the guest are shown without control characters", async () => {
  await using w = await world();
  writeFileSync(join(w.inside, "f"), "content");
  const { read } = w.files.transfers;
  w.files.transfers.read = async (request) => ({
    ...(await read(request)),
    end: { skipped: 1n, warnings: ["\u001b[2Jsocket"] },
  });
  const { err } = await cli(w.api, ["cp", "web:/f", join(w.here, "f")]);
  assert.match(err, /note: \\x1b\[2Jsocket\n/);
});

test("sockets, FIFOs and files that change while they are read are told", async () => {
  await using w = await world();
  const tree = join(w.here, "tree");
  mkdirSync(tree);
  execFileSync("mkfifo", [join(tree, "pipe")]);
  const growing = join(tree, "growing");
  writeFileSync(growing, Buffer.alloc(2 * MIB));
  w.files.transfers.onChunk = () => appendFileSync(growing, "more");
  const { code, out, err } = await cli(w.api, ["-o", "json", "cp", tree, "web:/tree"]);
  assert.equal(code, 0, err);
  assert.deepEqual(JSON.parse(out).skipped, 2);
  assert.match(err, /"tree\/pipe" is left out: it is a socket, a FIFO or a device/);
  assert.match(err, /"tree\/growing" changed its size while it was read: its new bytes are left out/);
  assert.equal(statSync(join(w.inside, "tree/growing")).size, 2 * MIB);
});
