/** The contract of every `MachineHost` for saved and restored machines: the real one, and the fake one. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFile, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Machine, MachineRequest, SavedMachine } from "../vm/machine-port.ts";
import type { MachineFixture } from "./machine-contract.ts";

const MIB = 1024 * 1024;

/** Declares the tests. They build on each other, because a real machine takes seconds to boot. */
export function savedMachineContract(name: string, make: () => Promise<MachineFixture>): void {
  describe(`${name}, saved and restored`, () => {
    let signal: AbortSignal;
    let fixture: MachineFixture;
    let saved: SavedMachine;
    let memoryDigest: string;
    const restored: { machine: Machine; request: MachineRequest }[] = [];

    before(async () => {
      // All tests of a file are declared at once. The timeout of these begins when they run.
      signal = AbortSignal.timeout(240_000);
      fixture = await make();
    });
    after(async () => await fixture?.[Symbol.asyncDispose]());

    const digest = async () =>
      createHash("sha256")
        .update(await readFile(saved.memoryPath))
        .digest("hex");
    const running = async () => (await fixture.host.running()).toSorted();
    const restoring = async (from = saved): Promise<MachineRequest> => ({
      ...(await fixture.another()),
      origin: { kind: "restore", saved: from },
    });

    test("a machine whose memory is a file can be saved, which ends it", async () => {
      const { host, request, directory } = fixture;
      const origin = { kind: "boot", memoryPath: join(directory, "memory") } as const;
      const machine = await host.start({ ...request, origin }, signal);
      await fixture.answers(request.paths);
      saved = await machine.save(join(directory, "state"), signal);
      assert.equal((await machine.ended).cause, "vm_lost");
      assert.deepEqual(await running(), []);
      memoryDigest = await digest();
    });

    test("two machines are restored concurrently, answer, and do not see each other's writes", async () => {
      const path = join(fixture.directory, "more");
      await writeFile(path, Buffer.alloc(MIB), { mode: 0o644 });
      const more = { kind: "disk", id: "disk1", path, readOnly: true, target: 1, added: "plugged" } as const;
      const withMore = ({ devices, ...request }: MachineRequest) => ({
        ...request,
        devices: [...devices, more],
      });
      const requests = [withMore(await restoring()), withMore(await restoring())];
      const machines = await Promise.all(requests.map((request) => fixture.host.start(request, signal)));
      for (const [index, request] of requests.entries()) {
        const machine = machines[index] ?? assert.fail("one machine for each request");
        restored.push({ machine, request });
      }
      const [first, second] = requests.map(({ paths }) => paths);
      assert.ok(first !== undefined && second !== undefined);
      await Promise.all([first, second].map((vm) => fixture.answers(vm)));
      await fixture.mark(first);
      assert.deepEqual([await fixture.isMarked(first), await fixture.isMarked(second)], [true, false]);
      assert.deepEqual(await running(), [first.id, second.id].toSorted());
      assert.equal(await digest(), memoryDigest, "the saved memory has not changed");
    });

    test("a restored machine has the size and disks of the saved one and its plugged disks, and can grow", async () => {
      const { machine, request } = restored[0] ?? assert.fail("it was restored");
      for (const { id } of request.devices)
        await machine.limitDisk(id, { readBytesPerSecond: 100 * MIB }, signal);
      await assert.rejects(machine.limitDisk("disk2", {}, signal));
      assert.equal((await machine.vcpuThreads(signal)).length, request.vcpus);
      assert.equal(await machine.memoryBytes(signal), request.memoryBytes);
      const more = request.memoryBytes + 64 * MIB;
      assert.equal(await machine.setMemory(more, signal), more);
    });

    test("restored machines can be killed", async () => {
      for (const { machine } of restored) await machine.kill(signal);
      assert.deepEqual(await running(), []);
    });

    const others: [string, (request: MachineRequest) => Partial<MachineRequest>][] = [
      ["more memory", ({ memoryBytes }) => ({ memoryBytes: memoryBytes + 64 * MIB })],
      ["more vCPUs", ({ vcpus }) => ({ vcpus: vcpus + 1 })],
      ["more ports", ({ interfacePorts }) => ({ interfacePorts: interfacePorts + 1 })],
      ["fewer disks", () => ({ devices: [] })],
    ];
    for (const [what, change] of others)
      test(`a machine with ${what} than the saved one is not restored`, async () => {
        const request = await restoring();
        await assert.rejects(fixture.host.start({ ...request, ...change(request) }, signal), {
          reason: "VM_UNAVAILABLE",
        });
        assert.deepEqual(await running(), []);
      });

    const isRefused = async (from: SavedMachine, reason: string) => {
      await assert.rejects(fixture.host.start(await restoring(from), signal), { reason });
      assert.deepEqual(await running(), []);
    };
    const copied = async (): Promise<SavedMachine> => {
      const copy = { ...saved, memoryPath: `${saved.memoryPath}-`, statePath: `${saved.statePath}-` };
      await copyFile(saved.memoryPath, copy.memoryPath);
      await copyFile(saved.statePath, copy.statePath);
      return copy;
    };

    const changes: [string, (copy: SavedMachine) => Promise<void>][] = [
      ["state was truncated", async ({ statePath }) => await truncate(statePath, 1)],
      ["state was altered", async ({ statePath }) => await alter(statePath)],
      ["state is missing", async ({ statePath }) => await rm(statePath)],
      ["memory was truncated", async ({ memoryPath }) => await truncate(memoryPath, MIB)],
      ["memory is empty", async ({ memoryPath }) => await truncate(memoryPath, 0)],
    ];
    for (const [what, change] of changes)
      test(`a saved machine whose ${what} is not restored`, async () => {
        const copy = await copied();
        await change(copy);
        await isRefused(copy, "DIGEST_MISMATCH");
      });

    test("a file that is not a machine's state is not loaded", async () => {
      const copy = await copied();
      const state = "a state that no machine wrote";
      await writeFile(copy.statePath, state);
      const stateDigest = createHash("sha256").update(state).digest("hex");
      await isRefused({ ...copy, stateDigest }, "VM_UNAVAILABLE");
    });
  });
}

/** Changes one bit in the middle of a file. */
async function alter(path: string): Promise<void> {
  const bytes = await readFile(path);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await writeFile(path, bytes);
}
