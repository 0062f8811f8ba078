/** The processes of a stack's VMs, from the kernel. */
import { readdirSync, readFileSync } from "node:fs";

/** Ids of processes that were started for sandboxes below a state directory. */
export function machinesOf(stateDirectory: string): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isFor(stateDirectory, name));
}

function isFor(stateDirectory: string, pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(`${stateDirectory}/vms/`);
  } catch {
    // It has ended in the meantime.
    return false;
  }
}
