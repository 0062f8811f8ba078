/**
 * How many threads of the host emulate the vCPUs of one machine.
 *
 * QEMU before 8.1 reads a guest's code for translation without holding the page it is on, so with a thread for each vCPU another vCPU
 * may change the code in between, and what was translated from the old bytes stays: the guest's memory says one thing and runs
 * another. Linux changes its own code while it runs (static keys), so its guests then hang or go the wrong way. QEMU 8.1 locks
 * the page first (commit deba78709ae8), but up to 9.0 it forgets the second page of code that lies on two (its mend is in 9.1). With one
 * thread for all vCPUs there is no other vCPU in between. What was measured is in the README.
 */
import type { QemuVersion } from "./qemu-version.ts";

/** `shared`: one for all vCPUs, which run in turns. `own`: one for each. */
export type EmulationThreads = "shared" | "own";

/** The first that translates what it runs, whoever changes it. Distributions may have mended earlier ones; their numbers do not tell. */
const SOUND = { major: 9, minor: 1 };

/** As many threads as this QEMU can emulate with and be right. */
export const emulationThreads = ({ major, minor }: QemuVersion): EmulationThreads =>
  major > SOUND.major || (major === SOUND.major && minor >= SOUND.minor) ? "own" : "shared";
