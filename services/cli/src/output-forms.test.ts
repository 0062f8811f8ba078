/** `-o json` and `-q` for all commands: stdout contains only JSON, or only ids. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FakeApi, FakeProcess } from "@paddock/client/testing";
import {
  ContainerService,
  EventService,
  ImageService,
  NodeService,
  OutputStream,
  ProcessService,
  SandboxService,
  SystemService,
} from "@paddock/protocol";
import { identify } from "@paddock/qemu";
import { COMMANDS } from "./commands/all.ts";
import { writeFleetRecord } from "./local-fleet/fleet-record.ts";
import { FakeFiles } from "./testing/fake-files.ts";
import { serveNetwork } from "./testing/fake-network.ts";
import { serveVolumes } from "./testing/fake-volumes.ts";
import { cli, startCli } from "./testing/run-in-process.ts";

const directory = await mkdtemp(join(tmpdir(), "paddock-forms-"));
after(() => rm(directory, { recursive: true }));
mkdirSync(join(directory, "web"));
const [up, down] = [join(directory, "up"), join(directory, "down")];
const supervisor = identify(process.pid);
assert.ok(supervisor);
const ports = { bus: 1, api: 2, http: 3, stream: 4 };
const at = { apiAddress: "127.0.0.1:2", httpAddress: "127.0.0.1:3", nodeId: "n" };
writeFleetRecord(up, { version: 1, ...at, supervisor, parts: [], ports });

/** An api with a sandbox "web" that answers all calls of the commands below. */
async function wholeApi(): Promise<FakeApi> {
  const api = await FakeApi.start();
  serveNetwork(api);
  serveVolumes(api, { data: "n1" });
  new FakeFiles(directory).serve(api);
  const { runSandbox, createSandbox, ...sandbox } = SandboxService.method;
  const made = ({ sandboxId }: { sandboxId: string }) => ({ sandbox: { sandboxId } });
  api.unary(runSandbox, made).unary(createSandbox, made);
  api.unary(sandbox.deleteSandbox, () => ({})).unary(sandbox.stopSandbox, () => ({}));
  api.unary(sandbox.addDevice, () => ({ device: { deviceId: "disk1" } }));
  api.unary(sandbox.listDevices, () => ({ devices: [{ deviceId: "disk1" }] }));
  api.unary(sandbox.removeDevice, () => ({}));
  api.unary(sandbox.startSandbox, () => ({})).unary(sandbox.pauseSandbox, () => ({}));
  api
    .unary(sandbox.resumeSandbox, () => ({}))
    .unary(sandbox.getSandboxStats, () => ({ stats: { host: {} } }));
  const container = ContainerService.method;
  api.unary(container.killContainer, () => ({})).unary(container.updateContainer, () => ({}));
  api.unary(container.listProcesses, () => ({ processes: [{ pid: 7, command: "sh" }] }));
  api.unary(ProcessService.method.waitProcess, () => ({ status: { code: 3 } }));
  api.serverStream(ProcessService.method.readLogs, async function* () {
    yield { stream: OutputStream.STDOUT, data: Buffer.from("hi\n") };
  });
  api.serverStream(EventService.method.watch, async function* () {
    yield* [{ resumeToken: "t1", event: { sandboxId: "web" } }, { resumeToken: "t1" }];
  });
  const image = { imageId: `sha256:${"a".repeat(64)}`, names: ["tiny:1"] };
  api.unary(ImageService.method.listImages, () => ({ images: [image] }));
  api.unary(ImageService.method.deleteImage, () => ({ imageId: image.imageId }));
  api.duplex(ImageService.method.importImage, async ({ requests, send }) => {
    for await (const { message } of requests) if (message.case === "start") break;
    send({ message: { case: "image", value: image } });
  });
  api.unary(NodeService.method.listNodes, () => ({ nodes: [{ nodeId: "n1" }] }));
  api.unary(SystemService.method.getVersion, () => ({ version: "1" }));
  return api;
}

const ID = /^[a-zA-Z0-9][a-zA-Z0-9_.:/-]*$/;

/**
 * `quiet` is what -q prints: ids, or requested data, which it does not change. An `endless` command is interrupted when it has
 * printed something.
 */
const CASES: readonly { words: string[]; quiet: "ids" | "data"; init?: true; endless?: true }[] = [
  { words: ["up", "--state-dir", up], quiet: "ids" },
  { words: ["down", "--state-dir", down], quiet: "ids" },
  { words: ["doctor", "--state-dir", down], quiet: "ids" },
  { words: ["run", "-d", "tiny"], quiet: "ids" },
  { words: ["run", "--name", "new", "tiny"], quiet: "data", init: true },
  { words: ["exec", "web", "true"], quiet: "data" },
  { words: ["exec", "-d", "web", "true"], quiet: "ids" },
  { words: ["attach", "web"], quiet: "data", init: true },
  { words: ["port-forward", "web", ":80"], quiet: "ids", endless: true },
  { words: ["cp", import.meta.filename, "web:/copy"], quiet: "ids" },
  { words: ["create", "tiny"], quiet: "ids" },
  { words: ["ps"], quiet: "ids" },
  { words: ["logs", "web"], quiet: "data" },
  { words: ["events", "--no-follow"], quiet: "data" },
  { words: ["stats", "--no-stream", "web"], quiet: "data" },
  { words: ["top", "web"], quiet: "ids" },
  { words: ["update", "--cpus", "1", "web"], quiet: "ids" },
  { words: ["start", "web"], quiet: "ids" },
  { words: ["stop", "web", "gone"], quiet: "ids" },
  { words: ["restart", "web"], quiet: "ids" },
  { words: ["pause", "web"], quiet: "ids" },
  { words: ["resume", "web"], quiet: "ids" },
  { words: ["kill", "web"], quiet: "ids" },
  { words: ["wait", "web"], quiet: "ids" },
  { words: ["inspect", "web", "gone"], quiet: "data" },
  { words: ["port", "web"], quiet: "data" },
  { words: ["rm", "-f", "web", "gone"], quiet: "ids" },
  { words: ["image", "import", "-"], quiet: "ids" },
  { words: ["image", "ls"], quiet: "ids" },
  { words: ["image", "inspect", "tiny"], quiet: "data" },
  { words: ["image", "rm", "tiny:1"], quiet: "ids" },
  { words: ["images"], quiet: "ids" },
  { words: ["rmi", "tiny:1"], quiet: "ids" },
  { words: ["container", "ls"], quiet: "ids" },
  { words: ["network", "ls"], quiet: "ids" },
  { words: ["network", "inspect", "web"], quiet: "data" },
  { words: ["network", "log", "web"], quiet: "data" },
  { words: ["network", "update", "--egress", "none", "web"], quiet: "ids" },
  { words: ["network", "connect", "web"], quiet: "ids" },
  { words: ["network", "disconnect", "web", "net1"], quiet: "ids" },
  { words: ["network", "route", "ls", "web"], quiet: "data" },
  { words: ["network", "route", "set", "web", "default dev eth0"], quiet: "data" },
  { words: ["volume", "create", "new"], quiet: "ids" },
  { words: ["volume", "ls"], quiet: "ids" },
  { words: ["volume", "inspect", "data", "gone"], quiet: "data" },
  { words: ["volume", "resize", "data", "2g"], quiet: "ids" },
  { words: ["volume", "rm", "data", "gone"], quiet: "ids" },
  { words: ["volume", "prune", "--all", "--force"], quiet: "ids" },
  { words: ["device", "add", "web", "/srv/disk.img"], quiet: "ids" },
  { words: ["device", "ls", "web"], quiet: "ids" },
  { words: ["device", "rm", "web", "disk1"], quiet: "ids" },
  { words: ["node", "ls"], quiet: "ids" },
  { words: ["version"], quiet: "data" },
];

/** A stream is one document per line; any other output is one document. */
function parsed(out: string): unknown {
  try {
    return JSON.parse(out);
  } catch {
    return out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  }
}

async function interrupted(api: FakeApi, words: string[]): ReturnType<typeof cli> {
  const started = startCli(api, words);
  await started.shows("\n");
  started.signals.emit("SIGINT");
  return { code: await started.exit, out: started.out(), err: started.err() };
}

for (const { words, quiet, init, endless } of CASES) {
  const run = endless ? interrupted : cli;
  test(`"${words.join(" ")}" prints JSON alone with -o json, and ${quiet} alone with -q`, async () => {
    await using api = await wholeApi();
    const process = init ? FakeProcess.init("main") : new FakeProcess();
    process.serve(api).write("stdout", "hello\n").end(0);
    const [first = "", ...rest] = words;
    const json = await run(api, ["-o", "json", first, ...rest]);
    assert.notEqual(json.code, 2, json.err);
    assert.equal(typeof parsed(json.out), "object");
    await using another = await wholeApi();
    const again = init ? FakeProcess.init("main") : new FakeProcess();
    again.serve(another).write("stdout", "hello\n").end(0);
    const { out, err } = await run(another, ["-q", first, ...rest]);
    if (quiet === "ids") for (const line of out.split("\n").slice(0, -1)) assert.match(line, ID);
    assert.ok(!/✓|note:/.test(err), err);
  });
}

test("the table above has every command", () => {
  const tried = new Set(CASES.map(({ words }) => words[0]));
  const missing = COMMANDS.map((define) => define((command) => command).name()).filter(
    (name) => !tried.has(name),
  );
  assert.deepEqual(missing, []);
});
