import { PaddockError } from "@paddock/domain";
import { watchMachine } from "../../watch/supervise.ts";
import type { BootStep } from "./boot-context.ts";

/** Attaches the sandbox to the started process, and starts to watch it. */
export const attach: BootStep = {
  name: "attach",
  async run({ node, entry, plan }) {
    const { machine, vm, machineRequest } = plan;
    if (machine === undefined) throw new Error("no machine was started");
    watchMachine(
      node,
      entry,
      entry.attach(machine, node.openLink(vm.agentSocket, machine), machineRequest.vcpus),
    );
  },
  async undo({ entry }) {
    if (entry.vm !== undefined) entry.vm.endExpected = true;
    entry.detach(new PaddockError("VM_UNAVAILABLE", `the boot of sandbox ${entry.sandboxId} failed`));
  },
};
