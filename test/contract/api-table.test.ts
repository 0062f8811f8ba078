import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";
import {
  CONTAINER_REQUESTS,
  CONTAINER_STATES,
  decide,
  REASON_KINDS,
  SANDBOX_REQUESTS,
  SANDBOX_STATES,
} from "@paddock/domain";
import {
  ContainerService,
  EventService,
  FileService,
  ImageService,
  NodeService,
  ProcessService,
  SandboxService,
  SystemService,
  VolumeService,
} from "@paddock/protocol";

const root = resolve(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

const REFERENCE = [
  "SetLogger CreateSandbox DeleteSandbox FetchSandbox StartSandbox StopSandbox RunSandbox ListSandbox StatusSandbox",
  "CreateContainer DeleteContainer StartContainer StopContainer EnterContainer StatusContainer KillContainer PauseSandbox",
  "ResumeSandbox ProcessListContainer UpdateContainer StatsContainer PauseContainer ResumeContainer AddDevice AddInterface",
  "RemoveInterface ListInterfaces UpdateRoutes ListRoutes VCSandbox.Stats VCSandbox.WaitProcess VCSandbox.SignalProcess",
  "VCSandbox.WinsizeProcess VCSandbox.IOStream VCSandbox.Monitor",
].flatMap((line) => line.split(" "));

const CALLS = new Map(
  [
    SandboxService,
    ContainerService,
    ProcessService,
    FileService,
    EventService,
    NodeService,
    ImageService,
    SystemService,
    VolumeService,
  ].flatMap((service) =>
    service.methods.map((method) => [`${service.name}.${method.name}`, method.localName]),
  ),
);

type Row = Record<"fn" | "call" | "asks" | "lock" | "sandbox" | "container" | "reasons" | "shown", string>;

const rows: Row[] = read("proto/README.md")
  .split("\n")
  .filter((line) => /^\|.*Service\.\w+\s+\|/.test(line))
  .map((line) => {
    const cells = line.split("|").map((cell) => cell.trim());
    assert.equal(cells.length, 10, `a row has eight cells: ${line}`);
    const [
      ,
      fn = "",
      call = "",
      asks = "",
      lock = "",
      sandbox = "",
      container = "",
      reasons = "",
      shown = "",
    ] = cells;
    return { fn, call, asks, lock, sandbox, container, reasons, shown };
  });

const MISSING = "not implemented yet";
const there = rows.filter(({ asks }) => asks !== MISSING);
const words = (cell: string): string[] => cell.split(",").flatMap((word) => word.trim() || []);
const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A node's source for a call; empty if the api implements it without a handler of that name. */
function sourceOf(call: string): string {
  const name = kebab(CALLS.get(call) ?? "");
  return ["handlers", "streams"]
    .map((folder) => `services/node/src/${folder}/${name}.ts`)
    .map((path) => (existsSync(join(root, path)) ? read(path) : ""))
    .join("");
}

/** The questions to `decide` in a handler's source, in the form of the table. */
function questionsIn(source: string): string[] {
  const asked = [...source.matchAll(/\b(permits|permitsContainer|decide)\(([^)]*)\)/g)];
  const questions = asked.flatMap(([, by = "", asking = ""]) => {
    const about = by === "permits" || asking.includes('about: "sandbox"') ? "sandbox" : "container";
    const requests = [...asking.matchAll(/(?<!about: )"([a-z_]+)"/g)].map(([, request]) => request);
    return requests.map((request) => `${about} ${request}`);
  });
  return questions.sort();
}

/** Names of calls that are not implemented, from the lists of the api and the node. */
const missing = new Set([
  ...[...read("services/api/src/routes.ts").matchAll(/\b(\w+): notImplemented/g)].map(([, name]) => name),
  ...[
    ...(/((?:\s*case "\w+":)+)\s*throw new PaddockError\("NOT_IMPLEMENTED"/
      .exec(read("services/node/src/routes.ts"))?.[1]
      ?.matchAll(/"(\w+)"/g) ?? []),
  ].map(([, name]) => name),
]);

/** States in which `decide` does not refuse, in the form of the table. */
function allowed(asks: string): { sandbox: string; container: string } {
  const shown = (states: readonly string[], all: readonly string[]) =>
    states.length === all.length ? "any" : states.join(", ");
  const [about, name] = asks.split(" ");
  if (about === "sandbox") {
    const request = SANDBOX_REQUESTS.find((each) => each === name);
    assert.ok(request, `decide knows no ${asks}`);
    const states = SANDBOX_STATES.filter((state) => decide({ about, state, request }).kind !== "deny");
    return { sandbox: shown(states, SANDBOX_STATES), container: "any" };
  }
  const request = CONTAINER_REQUESTS.find((each) => each === name);
  assert.ok(about === "container" && request, `decide knows no ${asks}`);
  const answer = (sandbox: (typeof SANDBOX_STATES)[number], state: (typeof CONTAINER_STATES)[number]) =>
    decide({ about: "container", sandbox, state, request });
  const open = SANDBOX_STATES.filter((sandbox) =>
    CONTAINER_STATES.some(
      (state) => answer(sandbox, state).kind !== "deny" || answer(sandbox, state).about === "container",
    ),
  );
  const states = CONTAINER_STATES.filter((state) =>
    open.some((sandbox) => answer(sandbox, state).kind !== "deny"),
  );
  return { sandbox: shown(open, SANDBOX_STATES), container: shown(states, CONTAINER_STATES) };
}

describe("the table of the API in proto/README.md", () => {
  test("has every function of the reference, and every call of the protocol", () => {
    const functions = rows.map(({ fn }) => fn.split(",")[0]);
    for (const fn of REFERENCE) assert.ok(functions.includes(fn), `${fn} has no row`);
    const calls = new Set(rows.map(({ call }) => call));
    assert.deepEqual(
      [...CALLS.keys()].filter((call) => !calls.has(call)),
      [],
    );
    assert.deepEqual(
      [...calls].filter((call) => !CALLS.has(call)),
      [],
    );
  });

  test("contains every question of decide, and allows the same states as decide", () => {
    for (const { call, asks, sandbox, container } of there.filter((row) => row.asks !== ""))
      assert.deepEqual({ sandbox, container }, allowed(asks), `${call} asks ${asks}`);
    const asked = new Set(there.map(({ asks }) => asks));
    const questions = [
      ...SANDBOX_REQUESTS.map((request) => `sandbox ${request}`),
      ...CONTAINER_REQUESTS.map((request) => `container ${request}`),
    ];
    assert.deepEqual(
      questions.filter((question) => !asked.has(question)),
      [],
    );
  });

  test("names reasons that exist, and WRONG_STATE exactly where a state can be wrong", () => {
    for (const { call, asks, sandbox, container, reasons } of rows) {
      for (const reason of words(reasons))
        assert.ok(Object.hasOwn(REASON_KINDS, reason), `${call}: ${reason}`);
      if (asks === MISSING) continue;
      const canBeWrong = sandbox !== "any" || container !== "any";
      assert.equal(words(reasons).includes("WRONG_STATE"), canBeWrong, `${call} and WRONG_STATE`);
    }
  });

  test("lists exactly the calls that are missing", () => {
    for (const { call, asks, reasons } of rows) {
      const isMissing = missing.has(CALLS.get(call) ?? "");
      assert.equal(asks === MISSING, isMissing, `${call} is ${isMissing ? "" : "not "}missing`);
      assert.equal(words(reasons).includes("NOT_IMPLEMENTED"), isMissing, `${call} and NOT_IMPLEMENTED`);
    }
  });

  test("names the question that the handler of each call asks decide", () => {
    for (const call of new Set(there.map((row) => row.call))) {
      const asked = there.filter((row) => row.call === call).flatMap(({ asks }) => asks || []);
      assert.deepEqual(questionsIn(sourceOf(call)), asked.toSorted(), call);
    }
  });

  test("lists the calls that take the lock", () => {
    for (const { call, lock } of there) {
      const takes = /\b(locked|createSandboxEntry|lock\.with|lock\.acquire)\(/.test(sourceOf(call));
      assert.equal(lock, takes ? "write" : "none", call);
    }
  });

  test("names a test for each row, by its file and title", () => {
    for (const { call, shown } of rows) {
      const [, file = "", sentence = ""] = /^(\S+): "(.+)"$/.exec(shown) ?? [];
      assert.ok(existsSync(join(root, file)) && file !== "", `${call} names no test file: ${shown}`);
      assert.ok(read(file).includes(`test("${sentence}"`), `${call}: no such test in ${file}: ${sentence}`);
    }
  });
});
