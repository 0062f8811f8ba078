import { guestContainer } from "../../containers/guest-container.ts";
import { cpusetInGuest } from "../../limits/guest-limits.ts";
import { type BootStep, imageOf } from "./boot-context.ts";

const CREATE_TIMEOUT_MS = 30_000;

/** The containers in the guest, one after the other, their commands not executed. */
export const containers: BootStep = {
  name: "containers",
  async run(boot, signal) {
    const { entry } = boot;
    for (const container of entry.record.containers) {
      if (entry.attachment === undefined) throw entry.lost;
      const client = await entry.agent.client({ signal });
      const { config } = imageOf(boot, container.imageId);
      const { containers: all, size } = entry.record;
      const request = guestContainer(container, config, cpusetInGuest(container, all, size.vcpus));
      const options = { signal, timeoutMs: CREATE_TIMEOUT_MS };
      await client.containers.createContainer(request, options);
    }
  },
  async undo() {
    // They go with their VM.
  },
};
