/** The contract of every `MachineHost` and `Machine` for interfaces: the real one, and the fake one. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Machine, MachineHost, MachineInterface, MachineRequest } from "../vm/machine-port.ts";
import type { VmPaths } from "../vm/vm-paths.ts";

export type InterfaceFixture = AsyncDisposable & {
  readonly host: MachineHost;
  /** With a cold interface "net0" at port 0, and one more port. */
  readonly request: MachineRequest;
  /** The same for another VM, with taps of its own. */
  readonly another: MachineRequest;
  /** An interface "net1" for a VM, on a tap of its own, at port 1. */
  second(vm: VmPaths): MachineInterface;
  /** An empty directory, for the files of a saved machine. */
  readonly directory: string;
  /** The guest's interfaces: MAC addresses and whether there is a carrier, such as "02:00:00:00:00:01 up". */
  seenBy(machine: Machine): Promise<readonly string[]>;
  /** Whether packets pass between the tap of an interface and the guest. */
  passes(vm: VmPaths, tap: string): Promise<boolean>;
};

const ROUNDS = 3;
const LOOK_MS = 100;

/** Declares the tests. They build on each other, because a real machine takes seconds to boot. */
export function interfaceContract(name: string, make: () => Promise<InterfaceFixture>): void {
  describe(name, () => {
    let signal: AbortSignal;
    let fixture: InterfaceFixture;
    let machine: Machine;
    let first: MachineInterface;
    let second: MachineInterface;

    before(async () => {
      // All tests of a file are declared at once. The timeout of these begins when they run.
      signal = AbortSignal.timeout(240_000);
      fixture = await make();
      const { host, request, directory } = fixture;
      const origin = { kind: "boot", memoryPath: join(directory, "memory") } as const;
      machine = await host.start({ ...request, origin }, signal);
      first = interfaceOf(request);
      second = fixture.second(request.paths);
    });
    after(async () => await fixture?.[Symbol.asyncDispose]());

    /** Waits until the guest sees exactly these interfaces. */
    async function sees(...expected: string[]): Promise<void> {
      let seen = await fixture.seenBy(machine);
      while (!signal.aborted && !isDeepStrictEqual(seen.toSorted(), expected.toSorted())) {
        await pause(LOOK_MS);
        seen = await fixture.seenBy(machine);
      }
      assert.deepEqual(seen.toSorted(), expected.toSorted());
    }
    const passes = async ({ tap }: MachineInterface) => await fixture.passes(fixture.request.paths, tap);

    test("the guest has a cold interface from its boot, and its link is down", async () => {
      await sees(`${first.mac} down`);
      assert.equal(await passes(first), false);
    });

    test("its link is set up, down and up again", async () => {
      for (const isUp of [true, false, true]) {
        await machine.setLink(first.id, isUp, signal);
        await sees(`${first.mac} ${isUp ? "up" : "down"}`);
        assert.equal(await passes(first), isUp);
      }
    });

    test("an interface is plugged in with its link down, works beside the first, and is unplugged", async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await machine.attach(second, signal);
        await sees(`${first.mac} up`, `${second.mac} down`);
        assert.equal(await passes(second), false);
        await machine.setLink(second.id, true, signal);
        await sees(`${first.mac} up`, `${second.mac} up`);
        assert.deepEqual([await passes(first), await passes(second)], [true, true]);
        await machine.detach(second, signal);
        await sees(`${first.mac} up`);
        await machine.detach(second, signal);
      }
    });

    test("an interface whose id or port is in use is refused, and the existing one stays", async () => {
      await assert.rejects(machine.attach({ ...second, id: first.id }, signal));
      await assert.rejects(machine.attach({ ...second, port: first.port }, signal));
      await sees(`${first.mac} up`);
      assert.equal(await passes(first), true);
      await machine.attach(second, signal);
      await machine.detach(second, signal);
      await assert.rejects(machine.setLink(second.id, true, signal));
    });

    test("a cold interface is unplugged and plugged in again", async () => {
      await machine.detach(first, signal);
      await sees();
      await machine.attach(first, signal);
      await machine.setLink(first.id, true, signal);
      await sees(`${first.mac} up`);
      assert.equal(await passes(first), true);
    });

    test("a restored machine has its interface on a tap of its own, and its link is down", async () => {
      const { host, another, directory } = fixture;
      const saved = await machine.save(join(directory, "state"), signal);
      machine = await host.start({ ...another, origin: { kind: "restore", saved } }, signal);
      await sees(`${first.mac} down`);
      const { id, tap } = interfaceOf(another);
      assert.equal(await fixture.passes(another.paths, tap), false);
      await machine.setLink(id, true, signal);
      await sees(`${first.mac} up`);
      assert.equal(await fixture.passes(another.paths, tap), true);
      await machine.attach(fixture.second(another.paths), signal);
      await sees(`${first.mac} up`, `${second.mac} down`);
      await machine.kill(signal);
    });
  });
}

function interfaceOf({ devices }: MachineRequest): MachineInterface {
  const found = devices.find((device) => device.kind === "interface");
  return found ?? assert.fail("the request has an interface");
}
