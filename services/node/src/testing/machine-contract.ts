/** The contract of every `MachineHost` and `Machine`: the real one, and the fake one. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Machine, MachineHost, MachineRequest } from "../vm/machine-port.ts";
import type { VmPaths } from "../vm/vm-paths.ts";

const MIB = 1024 * 1024;

export type MachineFixture = AsyncDisposable & {
  readonly host: MachineHost;
  /** 1 vCPU and at least 3 more, 256 MiB and at least 512 MiB more, and a cold disk "disk0". */
  readonly request: MachineRequest;
  /** The same for another VM, with files of its own. */
  another(): Promise<MachineRequest>;
  /** An empty directory, for the files of a saved machine. */
  readonly directory: string;
  /** Resolves when the guest answers: it can then plug and unplug devices. */
  answers(vm: VmPaths): Promise<void>;
  /** Writes a mark to the guest's memory. */
  mark(vm: VmPaths): Promise<void>;
  isMarked(vm: VmPaths): Promise<boolean>;
};

/** Declares the tests. They build on each other, because a real machine takes seconds to boot. */
export function machineContract(name: string, make: () => Promise<MachineFixture>): void {
  describe(name, () => {
    let signal: AbortSignal;
    let fixture: MachineFixture;
    let machine: Machine;
    const vcpuCount = async () => (await machine.vcpuThreads(signal)).length;

    before(async () => {
      // All tests of a file are declared at once. The timeout of these begins when they run.
      signal = AbortSignal.timeout(240_000);
      fixture = await make();
      machine = await fixture.host.start(fixture.request, signal);
      await fixture.answers(fixture.request.paths);
    });
    after(async () => await fixture?.[Symbol.asyncDispose]());

    test("a machine has the requested size, and is listed as running", async () => {
      const { vcpus, memoryBytes, paths } = fixture.request;
      assert.equal(await machine.memoryBytes(signal), memoryBytes);
      assert.equal(await vcpuCount(), vcpus);
      assert.deepEqual(await fixture.host.running(), [paths.id]);
    });

    test("vCPUs are plugged in up to the maximum, each with its thread, and a repeat changes nothing", async () => {
      const { maxVcpus } = fixture.request;
      for (const [asked, given] of [
        [3, 3],
        [3, 3],
        [maxVcpus + 5, maxVcpus],
      ] as const) {
        assert.equal(await machine.setVcpus(asked, signal), given);
        assert.equal(await vcpuCount(), given);
      }
    });

    test("a vCPU and the whole machine can be pinned to CPUs of the host", async () => {
      const each = Array.from({ length: await vcpuCount() }, () => "0");
      await machine.pinVcpus(each, signal);
      await machine.pinProcess("0", signal);
    });

    test("memory is plugged and unplugged in one step, in whole blocks, between its boot size and its maximum", async () => {
      const { memoryBytes, maxMemoryBytes } = fixture.request;
      for (const [asked, given] of [
        [memoryBytes + 512 * MIB, memoryBytes + 512 * MIB],
        [memoryBytes + 512 * MIB, memoryBytes + 512 * MIB],
        [memoryBytes + 64 * MIB, memoryBytes + 64 * MIB],
        [memoryBytes + 5 * MIB, memoryBytes + 6 * MIB],
        [maxMemoryBytes + 64 * MIB, maxMemoryBytes],
        [MIB, memoryBytes],
      ] as const) {
        assert.equal(await machine.setMemory(asked, signal), given, `asked for ${asked / MIB} MiB`);
        assert.equal(await machine.memoryBytes(signal), given);
      }
    });

    test("the limits of a disk can be set and changed", async () => {
      await machine.limitDisk("disk0", { writeBytesPerSecond: MIB, readOperationsPerSecond: 100 }, signal);
      await machine.limitDisk("disk0", {}, signal);
    });

    test("a paused machine reports its size, and a resumed one continues", async () => {
      await machine.pause(signal);
      assert.equal(await vcpuCount(), fixture.request.maxVcpus);
      await machine.resume(signal);
    });

    test("a machine that is taken over still has its plugged devices, which can be unplugged", async () => {
      const { identity } = machine;
      machine.release();
      const adopted = await fixture.host.adopt(identity, fixture.request, signal);
      machine = adopted ?? assert.fail("the machine is there");
      assert.equal(await vcpuCount(), fixture.request.maxVcpus);
      assert.equal(await machine.setVcpus(2, signal), 2);
      assert.equal(await machine.setVcpus(0, signal), fixture.request.vcpus);
      assert.equal(await vcpuCount(), fixture.request.vcpus);
    });

    test("a machine that is killed has ended, is no longer running and cannot be taken over", async () => {
      await machine.kill(signal);
      assert.equal((await machine.ended).cause, "vm_lost");
      assert.deepEqual(await fixture.host.running(), []);
      assert.equal(await fixture.host.adopt(machine.identity, fixture.request, signal), undefined);
      await machine.kill(signal);
    });
  });
}
