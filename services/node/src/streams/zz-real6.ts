import { connectAgent } from "../agent/connect-agent.ts";
import { execProcess } from "../agent/process-call.ts";
import { ProcessInputs } from "../agent/process-inputs.ts";
import { PaddockError } from "@paddock/domain";
const socketPath = "/tmp/ns/vm.sock";
let agent = await connectAgent({ socketPath, deadlineMs: 60000 });
await agent.sandbox.configureSandbox({ entropy: crypto.getRandomValues(new Uint8Array(64)), time: { seconds: BigInt(Math.floor(Date.now() / 1000)), nanos: 0 }, hostname: "h", sandboxId: "s" });
await agent.containers.removeContainer({ containerId: "c" });
await agent.containers.createContainer({ containerId: "c", rootfs: { lower: { target: 1, lun: 0 } }, process: { args: ["sleep", "10000"], env: ["PATH=/bin"], defaultCapabilities: true } }, { timeoutMs: 30000 });
await agent.containers.startContainer({ containerId: "c" });
import { qmp } from "/tmp/ns/qmp.mjs";
for (let i = 0; i < 40; i++) {const paused = i % 2 === 1;
  const inputs = new ProcessInputs();
  const ending = new AbortController();
  inputs.begin(0);
  let got = 0;
  const running = (async () => {
    for await (const e of execProcess(agent, { containerId: "c", execId: "x" + Date.now(), process: { args: ["cat"], env: ["PATH=/bin"], defaultCapabilities: true, stdin: true } }, { inputs, signal: ending.signal })) {
      if (e.kind === "stdinAck") inputs.stdinAccepted(e.offset);
      if (e.kind === "chunk") { got += e.data.length; inputs.ack({ stdout: got, stderr: 0 }); }
    }
  })().catch((e) => e.message);
  const feeding = (async () => { for (;;) { inputs.stdin(undefined, Buffer.alloc(65536, 65)); await inputs.room(ending.signal); } })().catch(() => undefined);
  await new Promise((r) => setTimeout(r, 300 + Math.random() * 500));
  if (paused) await qmp("stop");
  agent.close(new PaddockError("GUEST_UNAVAILABLE", "dropped"));
  ending.abort();
  await running;
  const t = performance.now();
  if (paused) setTimeout(() => qmp("cont"), 300);
  try { agent = await connectAgent({ socketPath, deadlineMs: 8000 }); }
  catch { console.log(i, "STUCK"); agent = await connectAgent({ socketPath, deadlineMs: 8000 }); }
  console.log(i, "got", got, "reconnected in", Math.round(performance.now() - t));
}
process.exit(0);
