/** Network cards of QEMU machines: taps in network namespaces of this test, and a guest that prints its cards. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { newcArchive } from "../../deploy/guest/newc-archive.ts";
import {
  type InterfaceFixture,
  interfaceContract,
} from "../../services/node/src/testing/interface-contract.ts";
import type { Machine, MachineInterface, MachineRequest } from "../../services/node/src/vm/machine-port.ts";
import type { VmPaths } from "../../services/node/src/vm/vm-paths.ts";
import { repositoryRoot } from "../harness/child-service.ts";
import { realMachine, VM_UID } from "../harness/real-machine.ts";
import { until } from "../harness/until.ts";

const run = promisify(execFile);
const namespaceOf = ({ id }: Pick<VmPaths, "id">): string => `machine-${id}`;

/** Gives card 02:00:00:00:00:NN the address 10.99.NN.2, and prints all cards when something has changed. */
const GUEST_INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
while read module; do insmod /modules/$module; done </modules/order
while :; do
  now=
  for card in /sys/class/net/eth*; do
    [ -e $card ] || continue
    name=\${card##*/}
    mac=$(cat $card/address) || continue
    ip link set $name up
    ip address show dev $name | grep -q 'inet ' || ip address add 10.99.$((0x\${mac##*:})).2/24 dev $name
    now="$now $mac $(cat $card/carrier),"
  done
  [ "$now" = "$last" ] || echo "cards:$now;" >/dev/ttyS0
  last=$now
  sleep 0.1
done
`;

/** The namespace of a VM and its two taps, each with the address 10.99.NN.1. */
async function makeNamespace(vm: VmPaths): Promise<void> {
  const namespace = namespaceOf(vm);
  await run("ip", ["netns", "add", namespace]);
  for (const [index, tap] of ["tap0", "tap1"].entries()) {
    const inside = async (...words: string[]) => await run("ip", ["-n", namespace, ...words]);
    await inside("tuntap", "add", "dev", tap, "mode", "tap", "user", String(VM_UID), "vnet_hdr");
    await inside("address", "add", `10.99.${index + 1}.1/24`, "dev", tap);
    await inside("link", "set", tap, "up");
  }
}

const networkCard = (index: 0 | 1): MachineInterface => ({
  kind: "interface",
  id: `net${index}`,
  mac: `02:00:00:00:00:0${index + 1}`,
  tap: `tap${index}`,
  port: index,
});

/** QEMU runs in the namespace of its VM's taps. */
const inNamespace = (request: MachineRequest): MachineRequest => ({
  ...request,
  placement: ["nsenter", `--net=/run/netns/${namespaceOf(request.paths)}`, "--"],
  interfacePorts: 2,
  devices: [{ ...networkCard(0), added: "cold" }],
});

async function seenBy(machine: Machine): Promise<string[]> {
  const [, last = ""] = (await machine.serialTail()).match(/.*cards:([^;]*);/s) ?? [];
  return [...last.matchAll(/(\S+) ([01]),/g)].map(
    ([, mac, carrier]) => `${mac} ${carrier === "1" ? "up" : "down"}`,
  );
}

async function realInterfaces(): Promise<InterfaceFixture> {
  const busybox = (await run("which", ["busybox"])).stdout.trim();
  const guest = readFileSync(join(repositoryRoot, "deploy/guest/out/initramfs.cpio"));
  // The kernel unpacks the archives in order, and the init of the second replaces that of the first.
  const ours = newcArchive([
    { kind: "directory", path: "bin", mode: 0o755 },
    { kind: "file", path: "bin/busybox", mode: 0o755, data: readFileSync(busybox) },
    { kind: "file", path: "init", mode: 0o755, data: Buffer.from(GUEST_INIT) },
  ]);
  const real = await realMachine(Buffer.concat([guest, ours]));
  const requests = [inNamespace(real.request), inNamespace(await real.another())] as const;
  for (const { paths } of requests) await makeNamespace(paths);
  return {
    host: real.host,
    request: requests[0],
    another: requests[1],
    second: () => networkCard(1),
    directory: real.directory,
    seenBy,
    async passes(vm, tap) {
      const address = `10.99.${tap === "tap0" ? 1 : 2}.2`;
      // A link that has just come up may lose a packet, and one that is down loses all.
      const ping = [busybox, "ping", "-c", "3", "-i", "0.2", "-W", "3", address];
      return await run("ip", ["netns", "exec", namespaceOf(vm), ...ping]).then(
        () => true,
        () => false,
      );
    },
    async [Symbol.asyncDispose]() {
      await real[Symbol.asyncDispose]();
      for (const { paths } of requests) await run("ip", ["netns", "delete", namespaceOf(paths)]);
    },
  };
}

interfaceContract("interfaces of machines of QEMU", realInterfaces);

test("a tap that is missing or belongs to another user is refused, and an unplug that a paused guest delays ends later", async () => {
  const signal = AbortSignal.timeout(240_000);
  await using real = await realInterfaces();
  const { host, request } = real;
  const machine = await host.start(request, signal);
  await until(async () => (await seenBy(machine)).length === 1, "the guest has its card");
  const [tap1, foreign] = [networkCard(1), "tap2"];
  const tuntap = ["tuntap", "add", "dev", foreign, "mode", "tap", "user", String(VM_UID + 1)];
  await run("ip", ["-n", namespaceOf(request.paths), ...tuntap]);
  for (const tap of ["tap9", foreign])
    await assert.rejects(machine.attach({ ...tap1, tap }, signal), {
      name: "QemuError",
      kind: "qmp-refused",
    });
  await machine.attach(tap1, signal);
  await until(async () => (await seenBy(machine)).length === 2, "the guest has two cards");
  await machine.pause(signal);
  await assert.rejects(machine.detach(tap1, AbortSignal.timeout(500)), { kind: "aborted" });
  await assert.rejects(machine.attach(tap1, signal), { kind: "qmp-refused" });
  await machine.resume(signal);
  await machine.detach(tap1, signal);
  await until(async () => (await seenBy(machine)).length === 1, "the guest has one card");
  await machine.attach(tap1, signal);
});

test("a machine whose cold tap belongs to another user does not start and leaves nothing", async () => {
  await using real = await realInterfaces();
  const { host, request } = real;
  const devices = [{ ...networkCard(0), tap: "tap9", added: "cold" }] as const;
  await assert.rejects(host.start({ ...request, devices }, AbortSignal.timeout(60_000)), {
    reason: "VM_UNAVAILABLE",
    message: /tap9/,
  });
  assert.deepEqual(await host.running(), []);
});
