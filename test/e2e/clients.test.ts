import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { rpcpb } from "@paddock/protocol";
import { repositoryRoot } from "../harness/child-service.ts";
import { Stack } from "../harness/stack.ts";

const run = promisify(execFile);
const buf = join(repositoryRoot, "node_modules/.bin/buf");

let stack: Stack;
let directory: string;
let commands: readonly string[];
let image: string;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "clients-"));
  const script = join(repositoryRoot, "test/clients/prepare.sh");
  const [prepared, started] = await Promise.all([run("bash", [script, directory]), Stack.start()]);
  stack = started;
  commands = prepared.stdout.trim().split("\n");
  image = await stack.tinyImage();
});
after(async () => {
  await stack?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

for (const [index, language] of ["python", "go"].entries()) {
  test(`a client that buf generated in ${language} runs a sandbox, an exec and a stats stream`, async () => {
    const [host = "", port = ""] = stack.grpcAddress.split(":");
    const [file = "", ...args] = (commands[index] ?? "").split(" ");
    const { stdout } = await run(file, [...args, host, port, image], { timeout: 150_000 });
    const result = JSON.parse(stdout) as { stdout: string; code: number; memory: number[] };
    assert.equal(result.stdout, `FROM ${language.toUpperCase()}\n`);
    assert.equal(result.code, 7);
    assert.equal(result.memory.length, 2);
    assert.ok(result.memory.every((bytes) => bytes > 0));
    const { sandboxes } = await stack.client.sandboxes.listSandboxes({});
    assert.deepEqual(sandboxes, []);
  });
}

/** Calls a method with nothing but the address: the schema comes from reflection. */
async function curl(method: string, body: string): Promise<{ stdout: string; stderr: string; code: number }> {
  const url = `http://${stack.grpcAddress}/${method}`;
  const args = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", body, url];
  try {
    return { ...(await run(buf, args, { cwd: directory, timeout: 60_000 })), code: 0 };
  } catch (error) {
    const { stdout, stderr, code } = error as { stdout: string; stderr: string; code: number };
    return { stdout, stderr, code };
  }
}

test("reflection lists every service, health among them", async () => {
  const args = [
    "curl",
    "--protocol",
    "grpc",
    "--http2-prior-knowledge",
    "--list-services",
    `http://${stack.grpcAddress}`,
  ];
  const { stdout } = await run(buf, args, { cwd: directory, timeout: 60_000 });
  const services = stdout.trim().split("\n");
  for (const name of ["Sandbox", "Container", "Process", "Event", "Node", "Image", "System"]) {
    assert.ok(services.includes(`paddock.v1.${name}Service`), `${name}Service is not in ${services}`);
  }
  assert.ok(services.includes("grpc.health.v1.Health"));
});

test("calls work through reflection alone, and their errors have names", async () => {
  const health = await curl("grpc.health.v1.Health/Check", "{}");
  assert.deepEqual(JSON.parse(health.stdout), { status: "SERVING" });
  const nodes = await curl("paddock.v1.NodeService/ListNodes", "{}");
  assert.equal(JSON.parse(nodes.stdout).nodes[0].nodeId, "n1");
  const missing = await curl("paddock.v1.SandboxService/GetSandbox", '{"sandboxId":"nobody"}');
  assert.notEqual(missing.code, 0);
  const error = JSON.parse(missing.stderr) as { code: string; details: { type: string; value: string }[] };
  assert.equal(error.code, "not_found");
  // buf prints details as received and resolves none of them.
  const info = error.details.find(({ type }) => type === "google.rpc.ErrorInfo");
  const { reason, domain } = fromBinary(rpcpb.ErrorInfoSchema, Buffer.from(info?.value ?? "", "base64"));
  assert.deepEqual({ reason, domain }, { reason: "SANDBOX_NOT_FOUND", domain: "paddock" });
});

test("a call with Connect and JSON over plain HTTP works like one with gRPC", async () => {
  const response = await fetch(`http://${stack.httpAddress}/paddock.v1.SystemService/GetVersion`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  assert.equal(response.status, 200);
  assert.deepEqual(((await response.json()) as { apiVersions: string[] }).apiVersions, ["paddock.v1"]);
});
