/**
 * Whether a container's writable layer is as fast as its limits allow, and no faster.
 *
 * One container reads and rewrites a file without the page cache (O_DIRECT), first without a limit, then with each of the four
 * kinds of limit, set by UpdateContainer while it runs. The guest (`io.max`) and QEMU (the drive's throttle) both apply the
 * limit, so a rate shows the stricter of the two.
 */
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { IoLimitsSchema } from "@paddock/protocol";
import { exec } from "../harness/exec.ts";
import { runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { median, report, type Series, type Target } from "./report.ts";

const SAMPLES = 3;
/** The largest deviation of a rate from its limit, in either direction. */
const DEVIATION = 0.1;
const MIB = 1 << 20;
const BYTES_PER_SECOND = 2 * MIB;
const OPERATIONS_PER_SECOND = 50;
const at = { sandboxId: "disk-rate", containerId: "c1" };

type Access = { readonly write: boolean; readonly blockBytes: number; readonly blocks: number };
/** About 5 s of I/O at the limits. */
const STREAM = { blockBytes: 64 << 10, blocks: 160 };
const SMALL = { blockBytes: 4 << 10, blocks: 250 };

const KINDS = [
  { name: "read bytes", write: false, ...STREAM, limit: BYTES_PER_SECOND, field: "readBytesPerSecond" },
  { name: "written bytes", write: true, ...STREAM, limit: BYTES_PER_SECOND, field: "writeBytesPerSecond" },
  { name: "reads", write: false, ...SMALL, limit: OPERATIONS_PER_SECOND, field: "readOperationsPerSecond" },
  { name: "writes", write: true, ...SMALL, limit: OPERATIONS_PER_SECOND, field: "writeOperationsPerSecond" },
] as const;

/** The duration in seconds, to a hundredth, by the guest's clock. */
async function secondsOf({ write, blockBytes, blocks }: Access): Promise<number> {
  const ways = write
    ? "if=/dev/zero of=/file oflag=direct conv=notrunc"
    : "if=/file of=/dev/null iflag=direct";
  const script = `time dd ${ways} bs=${blockBytes} count=${blocks}`;
  const { status, stderr } = await exec(stack.client, ["sh", "-c", script], at);
  const [, minutes, seconds] = /^real\s+(\d+)m ?([\d.]+)s/m.exec(stderr) ?? [];
  if (status.code !== 0 || !stderr.includes(`${blocks}+0 records out`)) throw new Error(`dd: ${stderr}`);
  return Number(minutes) * 60 + Number(seconds);
}

async function limit(io: MessageInitShape<typeof IoLimitsSchema>): Promise<void> {
  await stack.client.containers.updateContainer(
    { requestId: randomUUID(), ...at, resources: { io } },
    { deadline: inSeconds(30) },
  );
}

await using stack = await Stack.start();
await runIdle(stack, at.sandboxId);
await secondsOf({ write: true, ...STREAM });
const series: Series[] = [];
const targets: Target[] = [];
for (const kind of KINDS) {
  const isBytes = kind.limit === BYTES_PER_SECOND;
  const amount = isBytes ? (kind.blockBytes * kind.blocks) / MIB : kind.blocks;
  const unit = isBytes ? "MiB/s" : "ops/s";
  const rates = async () => {
    const samples: number[] = [];
    for (let left = SAMPLES; left > 0; left--) samples.push(amount / (await secondsOf(kind)));
    return samples;
  };
  const free = await rates();
  await limit({ [kind.field]: BigInt(kind.limit) });
  const held = await rates();
  await limit({ [kind.field]: 0n });
  const allowed = isBytes ? kind.limit / MIB : kind.limit;
  series.push(
    { name: `${kind.name}, no limit`, unit, samples: free },
    { name: `${kind.name}, limit ${allowed} ${unit}`, unit, samples: held },
  );
  targets.push({
    name: `${kind.name.replace(" ", "_")}_deviation`,
    value: Math.abs(median(held) / allowed - 1),
    limit: DEVIATION,
  });
}
report("disk-rate", { accelerator: "software emulation (TCG)" }, series, targets);
