import { createInGuest } from "../../containers/create-in-guest.ts";
import { type BootStep, imageOf } from "./boot-context.ts";

/** Creates the containers in the guest, in order, without executing their commands. They end with their VM. */
export const containers: BootStep = {
  name: "containers",
  async run(boot, signal) {
    const { entry } = boot;
    const { containers: counted } = entry.record;
    for (const container of counted) {
      if (entry.vm === undefined) throw entry.lost;
      const { config } = imageOf(boot, container.imageId);
      await createInGuest(entry, container, { config, counted, signal });
    }
  },
};
