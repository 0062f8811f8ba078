import { guestContainer } from "../../containers/guest-container.ts";
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
      const options = { signal, timeoutMs: CREATE_TIMEOUT_MS };
      await client.containers.createContainer(guestContainer(container, config), options);
    }
  },
  async undo() {
    // They go with their VM.
  },
};
