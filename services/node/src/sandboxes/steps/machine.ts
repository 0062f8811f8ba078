import { PaddockError } from "@paddock/domain";
import { machineDisks } from "../../containers/container-disks.ts";
import { promisedSize } from "../../limits/entitled.ts";
import { watchMachine } from "../supervise.ts";
import { type BootStep, imageOf } from "./boot-context.ts";

/**
 * The VM's process and the link to its guest. Every disk is there from the start, which is quicker than plugging it in. A
 * process that an interrupted boot left behind holds the sockets, so it goes first.
 */
export const machine: BootStep = {
  name: "machine",
  async run(boot, signal) {
    const { node, entry } = boot;
    const { paths, record } = entry;
    await node.machines.killStrays(paths, signal);
    const disks = record.containers.flatMap((container) =>
      machineDisks(container, node.images.blobPath(imageOf(boot, container.imageId)), paths),
    );
    const { vcpus } = promisedSize(record, node.sizeDefaults.guestOverheadBytes);
    const started = await node.machines.start(
      {
        name: paths.name,
        paths,
        uid: node.vmUidBase + record.slot,
        ...record.size,
        vcpus,
        maxMemoryBytes: record.size.maxMemoryBytes ?? record.size.memoryBytes,
        placement: node.cgroups.placement(paths.name),
        disks,
      },
      signal,
    );
    watchMachine(node, entry, entry.attach(started, node.openLink(paths.agentSocket), vcpus));
  },
  async undo({ node, entry }, signal) {
    const started = entry.attachment?.machine;
    entry.endExpected = true;
    entry.detach(new PaddockError("VM_UNAVAILABLE", `sandbox ${entry.sandboxId} did not come up`));
    await started?.kill(signal);
    await node.machines.killStrays(entry.paths, signal);
  },
};
