import { connectAgent } from "../agent/connect-agent.ts";
const t = performance.now();
const agent = await connectAgent({ socketPath: "/tmp/ns/vm.sock", deadlineMs: 20000 });
console.log("up", performance.now() - t);
await agent.sandbox.getGuest({});
console.log("ok", performance.now() - t);
process.exit(0);
