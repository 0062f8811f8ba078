import { AgentLink } from "../agent/agent-link.ts";
import { execProcess } from "../agent/process-call.ts";
import { ProcessInputs } from "../agent/process-inputs.ts";
const [socketPath = ""] = process.argv.slice(2);
const t00 = performance.now();
const link = new AgentLink({ socketPath, onState: (s) => console.log("state", s.kind, s.kind === "waiting" ? s.error.message : "", Math.round(performance.now() - t00)) });
const agent = await link.client({ deadlineMs: 60000 });
const { guest } = await agent.sandbox.configureSandbox({ entropy: crypto.getRandomValues(new Uint8Array(64)), time: { seconds: BigInt(Math.floor(Date.now() / 1000)), nanos: 0 }, hostname: "h", sandboxId: "s" });
console.log("guest", guest?.agentVersion, guest?.kernelRelease, guest?.bootId);
const t = performance.now();
for (let i = 0; i < 200; i++) await agent.sandbox.getGuest({});
console.log("unary ms", (performance.now() - t) / 200);
if (!process.argv[3]) process.exit(0);
await agent.containers.removeContainer({ containerId: "c" });
const rootfs = process.argv[3] === "host" ? {} : { lower: { target: 1, lun: 0 } };
await agent.containers.createContainer({ containerId: "c", rootfs, process: { args: ["sleep", "10000"], env: ["PATH=/bin"], defaultCapabilities: true } }, { timeoutMs: 30000 });
await agent.containers.startContainer({ containerId: "c" });
async function run(args: string[], stdin?: Buffer) {
  const inputs = new ProcessInputs();
  const execId = crypto.randomUUID();
  const ending = new AbortController();
  let out = 0, acked = 0, err = "", code = -1;
  for await (const e of execProcess(agent, { containerId: "c", execId, process: { args, env: ["PATH=/bin"], defaultCapabilities: true, stdin: stdin !== undefined } }, { inputs, signal: ending.signal })) {
    if (e.kind === "started") { inputs.begin(0); if (stdin) { (async () => { for (let i = 0; i < stdin.length; i += 65536) { inputs.stdin(undefined, stdin.subarray(i, i + 65536)); await inputs.room(ending.signal); } inputs.endStdin(); })(); } }
    if (e.kind === "stdinAck") inputs.stdinAccepted(e.offset);
    if (e.kind === "chunk" && e.stream === "stdout") { out += e.data.length; if (out - acked > 262144) { acked = out; inputs.ack({ stdout: out, stderr: 0 }); } }
    if (e.kind === "chunk" && e.stream === "stderr") err += Buffer.from(e.data).toString();
    if (e.kind === "exited") code = e.status.code;
  }
  return { out, err, code };
}
console.log(await run(["sh", "-c", "echo hi; exit 3"]));
const n = 20; const t1 = performance.now();
for (let i = 0; i < n; i++) await run(["true"]);
console.log("exec true ms", (performance.now() - t1) / n);
const t2 = performance.now(); const r = await run(["dd", "if=/dev/zero", "bs=65536", "count=1600"]);
console.log("100MB out", r.out, "ms", performance.now() - t2, r.err.slice(-80));
const t3 = performance.now(); const r2 = await run(["wc", "-c"], Buffer.alloc(20 << 20, 65));
console.log("20MB in", r2, "ms", performance.now() - t3);
const t4 = performance.now(); const r3 = await run(["cat"], Buffer.alloc(20 << 20, 65));
console.log("20MB cat", r3, "ms", performance.now() - t4);
console.log(await agent.containers.getContainerStats({ containerId: "c" }).then(s => [s.cpu?.usageUs, s.memory?.usageBytes]).catch(e => e.message));
console.log((await agent.containers.listProcesses({ containerId: "c" })).processes.map(p => p.command + " " + p.args.join(" ")));
await agent.containers.removeContainer({ containerId: "c" });
process.exit(0);
