/**
 * What Paddock's network adds to a guest's.
 *
 * The floor is a bare QEMU with the same kernel, size and kind of network card, on a plain bridge without rules. Both guests run the
 * same servers of busybox, and are measured alternately from the host and from a namespace that stands for the world outside. Then
 * the node's rules get 999 more interfaces: what one interface costs to add, and what its packets cost, may not depend on the others.
 * Nothing leaves the network namespaces of this bench.
 */
import "../harness/own-namespace.ts";
import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  addInterface,
  commandRunner,
  guestInterface,
  HostWriter,
  type InterfaceRules,
  planNetwork,
  removeInterface,
} from "@paddock/network";
import { NetworkMode } from "@paddock/protocol";
import { kernelCommandLine } from "@paddock/qemu";
import { newcArchive } from "../../deploy/guest/newc-archive.ts";
import { type Conversation, Namespace } from "../../libs/network/src/testing/index.ts";
import { repositoryRoot } from "../harness/child-service.ts";
import { exec } from "../harness/exec.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { dial, receivedRate, roundTrip, sentRate } from "./net-meter.ts";
import { median, report, type Series, type Target } from "./report.ts";

const ROUNDS = 7;
const MEMORY_MIB = 512;
const HOST = "198.51.100.1";
const WORLD = "198.51.100.2";
const BARE = "10.88.0.2";
const MTU = 1400;
const POOL = "10.213.0.0/16";
const POOL6 = "fd5a:9c1d:7b3e::/64";

const run = promisify(execFile);
const shell = async (script: string): Promise<string> => (await run("bash", ["-euc", script])).stdout;

/** The guest's servers, for a shell: a source, a sink, an echo, and two that open a connection to the world when they are called. */
const SERVERS = [
  "nc -ll -p 5001 -e cat /dev/zero",
  "nc -ll -p 5002 -e sh -c 'cat >/dev/null'",
  "nc -ll -p 5003 -e cat",
  `nc -ll -p 5004 -e nc ${WORLD} 6001 -e cat /dev/zero`,
  `nc -ll -p 5005 -e nc ${WORLD} 6002 -e cat`,
]
  .map((server) => `${server} </dev/null >/dev/null 2>&1 &`)
  .join("\n");

const BARE_INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
while read module; do insmod /modules/$module; done </modules/order
ip link set lo up
ip link set eth0 mtu ${MTU} up
ip address add ${BARE}/24 dev eth0
ip route add default via 10.88.0.1
${SERVERS}
exec sleep 1000000
`;

type World = { readonly measured: Conversation };

const resources = new AsyncDisposableStack();

/** The namespace outside, joined by a cable, and the plain bridge of the bare guest with its tap. */
async function makeWorld(): Promise<World> {
  const outside = resources.use(await Namespace.create());
  await shell(`
    ip link add uplink mtu ${MTU} type veth peer name eth0 mtu ${MTU} netns ${outside.pid}
    sysctl -qw net.ipv4.ip_forward=1
    ip addr add ${HOST}/24 dev uplink; ip link set uplink up; ip route add default via ${WORLD}
    ip link add plain mtu ${MTU} type bridge; ip addr add 10.88.0.1/24 dev plain; ip link set plain up
    ip tuntap add dev baretap mode tap vnet_hdr; ip link set baretap mtu ${MTU} master plain up`);
  await outside.shell(
    `ip addr add ${WORLD}/24 dev eth0; ip link set eth0 up; ip route add 10.88.0.0/24 via ${HOST}`,
  );
  const script = join(import.meta.dirname, "net-world.ts");
  return { measured: resources.use(await outside.start(process.execPath, script, WORLD)) };
}

/** The bare guest. It ends with the bench. */
function startBare(): void {
  const directory = mkdtempSync(join(tmpdir(), "bare-net-"));
  const guest = join(repositoryRoot, "deploy/guest/out");
  const manifest = JSON.parse(readFileSync(join(guest, "manifest.json"), "utf8")) as Record<string, string>;
  const initramfs = join(directory, "initramfs");
  const ours = newcArchive([
    { kind: "directory", path: "bin", mode: 0o755 },
    { kind: "file", path: "bin/busybox", mode: 0o755, data: readFileSync("/bin/busybox") },
    { kind: "file", path: "init", mode: 0o755, data: Buffer.from(BARE_INIT) },
  ]);
  writeFileSync(initramfs, Buffer.concat([readFileSync(join(guest, manifest.initramfs ?? "")), ours]));
  const qemu = spawn(
    "qemu-system-x86_64",
    [
      ...["-nodefaults", "-no-user-config", "-display", "none", "-M", "q35", "-accel", "tcg", "-cpu", "max"],
      ...["-smp", "1", "-m", `${MEMORY_MIB}M`, "-kernel", join(guest, manifest.kernel ?? "")],
      ...["-initrd", initramfs, "-append", kernelCommandLine()],
      ...["-netdev", "tap,id=net0,ifname=baretap,script=no,downscript=no,vhost=off"],
      ...["-device", "virtio-net-pci,netdev=net0,mac=02:00:00:00:00:02,romfile="],
    ],
    { stdio: "ignore" },
  );
  resources.defer(async () => {
    qemu.kill("SIGKILL");
    if (qemu.exitCode === null && qemu.signalCode === null) await once(qemu, "exit");
    rmSync(directory, { recursive: true, force: true });
  });
}

/** The sandbox with the servers; its IPv4 address. */
async function startSandbox(stack: Stack): Promise<string> {
  const image = await stack.tinyImage();
  const spec = {
    resources: { vcpus: 1, memoryBytes: BigInt(MEMORY_MIB) << 20n },
    containers: [{ containerId: "c1", image, process: idle }],
  };
  const { sandbox } = await stack.client.sandboxes.runSandbox(
    { requestId: randomUUID(), sandboxId: "net", spec },
    { deadline: inSeconds(90) },
  );
  await exec(stack.client, ["sh", "-c", SERVERS], { sandboxId: "net", containerId: "c1" });
  const [address = ""] = sandbox?.status?.network?.interfaces[0]?.addresses ?? [];
  return address.split("/")[0] ?? "";
}

/** Opens a connection by which the guest is asked to call the world, and answers what the world measured. */
async function askWorld({ measured }: World, guest: string, port: number): Promise<number> {
  const trigger = await dial(guest, port);
  trigger.on("error", () => undefined);
  const line = await measured.line("figure", 30_000);
  trigger.destroy();
  if (line === undefined) throw new Error(`the guest ${guest} did not call the world`);
  return Number(line.split(" ")[1]);
}

/** A measurement, its unit, and whether more is better. */
type Measure = {
  readonly name: string;
  readonly unit: "MiB/s" | "ms";
  readonly take: (world: World, guest: string) => Promise<number>;
};

const MEASURES: readonly Measure[] = [
  { name: "from_guest", unit: "MiB/s", take: async (_, guest) => receivedRate(await dial(guest, 5001)) },
  { name: "to_guest", unit: "MiB/s", take: async (_, guest) => sentRate(await dial(guest, 5002)) },
  { name: "round_trip", unit: "ms", take: async (_, guest) => roundTrip(await dial(guest, 5003)) },
  { name: "out", unit: "MiB/s", take: (world, guest) => askWorld(world, guest, 5004) },
  { name: "round_trip_out", unit: "ms", take: (world, guest) => askWorld(world, guest, 5005) },
];

type Samples = Map<string, number[]>;

async function takeRounds(world: World, guests: Record<string, string>): Promise<Samples> {
  const samples: Samples = new Map();
  for (let round = 0; round <= ROUNDS; round++)
    for (const { name, take } of MEASURES)
      for (const [label, guest] of Object.entries(guests)) {
        const sample = await take(world, guest);
        // The first round fills the emulator's cache of translated code.
        if (round > 0)
          samples.set(`${name}, ${label}`, [...(samples.get(`${name}, ${label}`) ?? []), sample]);
      }
  return samples;
}

const seriesOf = (samples: Samples, label: string): Series[] =>
  MEASURES.map(({ name, unit }) => ({
    name: `${name}, ${label}`,
    unit,
    samples: samples.get(`${name}, ${label}`) ?? [],
  }));

/** What the floor has of what was measured: 1.05 means 5 % less throughput, or 5 % more time. */
const targetsOf = (floor: readonly Series[], series: readonly Series[], limit: number): Target[] =>
  MEASURES.map(({ name, unit }, index) => {
    const [before, after] = [median(floor[index]?.samples ?? []), median(series[index]?.samples ?? [])];
    return {
      name: `${name}_${series[0]?.name.split(", ")[1]?.replaceAll(" ", "_")}`,
      value: unit === "ms" ? after / before : before / after,
      limit,
    };
  });

/** Milliseconds in which rules of further interfaces are added, at 1, 100 and 1,000 interfaces. Leaves 1,000. */
async function addRules(): Promise<Series[]> {
  const network = planNetwork({ bridge: "paddock0", mtu: MTU, v4: POOL, v6: POOL6 });
  const writer = new HostWriter(commandRunner());
  const rules = (index: number): InterfaceRules => ({
    guest: guestInterface(network, index),
    policy: { kind: "public" },
    dns: [],
    published: [],
    peers: [],
    sendBytesPerSecond: undefined,
  });
  const series: Series[] = [];
  let next = 1000;
  for (const [present, more] of [
    [1, 0],
    [100, 99],
    [1000, 900],
  ] as const) {
    await writer.rules(
      Array.from({ length: more }, () => rules(next++)).flatMap((each) => addInterface(network, each)),
    );
    const samples: number[] = [];
    for (let left = 25; left > 0; left--) {
      const begun = performance.now();
      await writer.rules(addInterface(network, rules(next)));
      samples.push(performance.now() - begun);
      await writer.rules(removeInterface(network, rules(next)));
    }
    series.push({ name: `rules added at ${present}`, unit: "ms", samples });
  }
  return series;
}

/** CreateSandbox to its answer, with and without a network, alternately. */
async function creations(stack: Stack): Promise<Series[]> {
  const create = async (mode: NetworkMode): Promise<number> => {
    const sandboxId = `net-${randomUUID()}`;
    const begun = performance.now();
    await stack.client.sandboxes.createSandbox(
      { requestId: randomUUID(), sandboxId, spec: { network: { mode } } },
      { deadline: inSeconds(90) },
    );
    const took = performance.now() - begun;
    await stack.client.sandboxes.deleteSandbox(
      { requestId: randomUUID(), sandboxId, force: true },
      { deadline: inSeconds(60) },
    );
    return took;
  };
  await create(NetworkMode.DEFAULT);
  const [without, withOne]: [number[], number[]] = [[], []];
  for (let left = 9; left > 0; left--) {
    without.push(await create(NetworkMode.NONE));
    withOne.push(await create(NetworkMode.DEFAULT));
  }
  return [
    { name: "create without network", unit: "ms", samples: without },
    { name: "create with network", unit: "ms", samples: withOne },
  ];
}

async function measureAll(): Promise<void> {
  const world = await makeWorld();
  const stack = resources.use(
    await Stack.start({ PADDOCK_NETWORK: "on", PADDOCK_NETWORK_IPV4: POOL, PADDOCK_NETWORK_IPV6: POOL6 }),
  );
  startBare();
  const sandbox = await startSandbox(stack);
  const both = await takeRounds(world, { "bare QEMU": BARE, sandbox });
  const [bare, ours] = [seriesOf(both, "bare QEMU"), seriesOf(both, "sandbox")];
  const added = await addRules();
  const crowded = seriesOf(
    await takeRounds(world, { "bare QEMU again": BARE, "among 1,000": sandbox }),
    "among 1,000",
  );
  const created = await creations(stack);
  const [one, , thousand] = added.map(({ samples }) => median(samples));
  const [without, withOne] = created.map(({ samples }) => median(samples));
  report(
    "net",
    { accelerator: "software emulation (TCG)", guest: `1 vCPU, ${MEMORY_MIB} MiB`, mtu: String(MTU) },
    [...bare, ...ours, ...crowded, ...added, ...created],
    [
      ...targetsOf(bare, ours, 1 / 0.95),
      { name: "rules_1000_to_1", value: (thousand ?? Number.NaN) / (one ?? Number.NaN), limit: 1.5 },
      { name: "create_with_network", value: (withOne ?? Number.NaN) / (without ?? Number.NaN), limit: 1.05 },
    ],
  );
}

try {
  await measureAll();
} finally {
  await resources.disposeAsync();
}
