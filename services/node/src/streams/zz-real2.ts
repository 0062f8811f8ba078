import { AgentLink } from "../agent/agent-link.ts";
import { attachProcess, execProcess } from "../agent/process-call.ts";
import { ProcessInputs } from "../agent/process-inputs.ts";
import { PaddockError } from "@paddock/domain";
const [socketPath = "", mode] = process.argv.slice(2);
const t00 = performance.now();
const link = new AgentLink({ socketPath, onState: (s) => console.log("state", s.kind, s.kind === "waiting" ? s.error.message : "", Math.round(performance.now() - t00)) });
const agent = await link.client({ deadlineMs: 60000 });
await agent.sandbox.configureSandbox({ entropy: crypto.getRandomValues(new Uint8Array(64)), time: { seconds: BigInt(Math.floor(Date.now() / 1000)), nanos: 0 }, hostname: "h", sandboxId: "s" });
await agent.containers.removeContainer({ containerId: "c" });
const rootfs = mode === "host" ? {} : { lower: { target: 1, lun: 0 } };
await agent.containers.createContainer({ containerId: "c", rootfs, process: { args: ["sleep", "10000"], env: ["PATH=/bin"], defaultCapabilities: true } }, { timeoutMs: 30000 });
await agent.containers.startContainer({ containerId: "c" });
const execId = "e" + Date.now();
let next = 0, acked = 0, drops = 0, mod = 0, bad = 0, nextDrop = 3e6;
let started = false;
let done = false;
let t = performance.now();
while (!done) {
  const a = await link.client({ deadlineMs: 60000 });
  const inputs = new ProcessInputs();
  const ending = new AbortController();
  const events = started ? attachProcess(a, { containerId: "c", execId, stdout: acked, stderr: 0 }, { inputs, signal: ending.signal })
    : execProcess(a, { containerId: "c", execId, process: { args: ["seq", "1000000", "5000000"], env: ["PATH=/bin"], defaultCapabilities: true } }, { inputs, signal: ending.signal });
  try {
    for await (const e of events) {
      if (e.kind === "started") { console.log("started", e.offsets, Math.round(performance.now() - t)); started = true; }
      if (e.kind === "chunk") {
        const skip = Math.max(0, next - e.offset);
        const data = e.data.subarray(skip);
        for (let i = 0; i < data.length; i += 997) { const at = e.offset + skip + i; const n = 1000000 + Math.floor(at / 8); const s = `${n}\n`; if (data[i] !== s.charCodeAt(at % 8)) bad++; }
        next = Math.max(next, e.offset + e.data.length);
        if (next - acked > 200000) { acked = next; inputs.ack({ stdout: next, stderr: 0 }); }
        if (next > nextDrop) { nextDrop += 3e6; drops++; t = performance.now(); a.close(new PaddockError("GUEST_UNAVAILABLE", "dropped by test")); }
      }
      if (e.kind === "exited") { console.log("exited", e.status.code); done = true; }
    }
  } catch (error) { if (!(error instanceof PaddockError && /dropped/.test(error.message))) console.log("error", error); }
  ending.abort();
}
console.log({ next, expected: 4000001 * 8, bad, drops });
await (await link.client()).containers.removeContainer({ containerId: "c" });
process.exit(0);
