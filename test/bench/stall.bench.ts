/**
 * How long a client, a guest or an archive can block the node daemon: the longest block of its event loop during an import of a
 * hostile archive, 512 execs, stdin in messages of one byte, and statistics of 128 containers. Time in which the kernel ran other
 * threads does not count (see `loop-watch.ts`). The longest block of an idle daemon is printed for comparison.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { file, hardlink, ociFiles, tarOf } from "../../libs/images/src/testing/build-archive.ts";
import { exec } from "../harness/exec.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { report, type Series } from "./report.ts";

const LIMIT_MS = 50;
const LINKS = Number(process.env.PADDOCK_STALL_LINKS ?? 60_000);
const EXECS = Number(process.env.PADDOCK_STALL_EXECS ?? 512);
const STDIN_MESSAGES = Number(process.env.PADDOCK_STALL_BYTES ?? 20_000);
const CONTAINERS = Number(process.env.PADDOCK_STALL_CONTAINERS ?? 128);
const WATCH_MS = 10_000;

const at = { sandboxId: "bench-stall", containerId: "c1" };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** One file and many hard links to it in 256 directories, like an archive of git objects. */
async function linksArchive(directory: string): Promise<string> {
  const links = Array.from({ length: LINKS }, (_, index) =>
    hardlink(`d${index % 256}/l${index}`, "original"),
  );
  const files = ociFiles({ layers: [await tarOf([file("original", "x"), ...links])] });
  const path = join(directory, "links.tar");
  writeFileSync(path, await tarOf([...files].map(([name, content]) => file(name, content))));
  return path;
}

async function oneByteStdin(stack: Stack): Promise<void> {
  const call = stack.client.processes.exec({ deadline: inSeconds(300) });
  const process = { args: ["sh", "-c", "cat >/dev/null"], stdin: true };
  await call.write({ message: { case: "start", value: { ...at, process } } });
  const ended = (async () => {
    for await (const { output } of call)
      if (output?.output.case === "exited") return output.output.value.code;
    throw new Error("the stream ended without an exit status");
  })();
  const data = Buffer.from("x");
  for (let left = STDIN_MESSAGES; left > 0; left -= 1)
    await call.write({ message: { case: "input", value: { input: { case: "stdin", value: { data } } } } });
  await call.write({ message: { case: "input", value: { input: { case: "stdinEof", value: {} } } } });
  call.end();
  if ((await ended) !== 0) throw new Error("cat failed");
}

async function watchMany(stack: Stack): Promise<void> {
  const { sandboxId } = at;
  const image = await stack.tinyImage();
  for (let index = 2; index <= CONTAINERS; index += 1)
    await stack.client.containers.createContainer(
      { requestId: randomUUID(), sandboxId, spec: { containerId: `c${index}`, image, process: idle } },
      { deadline: inSeconds(120) },
    );
  await stack.longestBlock();
  const signal = AbortSignal.timeout(WATCH_MS);
  const watches = Array.from({ length: 4 }, async () => {
    const interval = { seconds: 0n, nanos: 100_000_000 };
    const readings = stack.client.sandboxes.watchSandboxStats({ sandboxId, interval }, { signal });
    let count = 0;
    for await (const { stats } of readings) count += stats?.containers.length ?? 0;
    return count;
  });
  await Promise.allSettled(watches);
}

const scratch = mkdtempSync(join(tmpdir(), "stall-"));
await using stack = await Stack.start({}, { measured: true });
// Memory for all containers.
const spec = {
  resources: { memoryBytes: 1024n << 20n },
  containers: [{ containerId: "c1", image: await stack.tinyImage(), process: idle }],
};
await stack.client.sandboxes.runSandbox(
  { requestId: randomUUID(), sandboxId: at.sandboxId, spec },
  { deadline: inSeconds(120) },
);
const archive = await linksArchive(scratch);
const series: Series[] = [];
const targets: { name: string; value: number; limit: number }[] = [];

async function measure(name: string, title: string, work: () => Promise<unknown>): Promise<void> {
  await stack.longestBlock();
  await work();
  const value = await stack.longestBlock();
  series.push({ name: title, unit: "ms", samples: [value] });
  if (name !== "idle") targets.push({ name: `stall_${name}_ms`, value, limit: LIMIT_MS });
  console.log(`${title}: ${value.toFixed(1)} ms`);
}

await measure("idle", "idle", () => pause(3_000));
await measure("import", `import of ${LINKS} hard links`, () => stack.importImage(archive));
await measure("stdin", `${STDIN_MESSAGES} bytes of stdin, one by one`, () => oneByteStdin(stack));
await measure("execs", `${EXECS} execs`, () =>
  Promise.all(
    Array.from({ length: EXECS }, () => exec(stack.client, ["true"], { ...at, deadline: inSeconds(300) })),
  ),
);
await measure("watch", `${CONTAINERS} containers watched`, () => watchMany(stack));
rmSync(scratch, { recursive: true, force: true });
report("stall", { accelerator: "software emulation (TCG)" }, series, targets);
