/** A check of the host: its finding, and how to fix it. */

export type Verdict = "ok" | "warning" | "missing";

export type Finding = {
  readonly name: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** How to fix it. */
  readonly fix?: string | undefined;
};

/** A finding without the name of its check. */
export type Found = Omit<Finding, "name">;

export type HostCheck = { readonly name: string; readonly run: () => Promise<Found> };

export const ok = (found: string): Found => ({ verdict: "ok", found });
export const warning = (found: string, fix: string): Found => ({ verdict: "warning", found, fix });
export const missing = (found: string, fix?: string): Found => ({ verdict: "missing", found, fix });

/** Runs a check. An unexpected failure is also a finding. */
export async function perform({ name, run }: HostCheck): Promise<Finding> {
  try {
    return { name, ...(await run()) };
  } catch (error) {
    return { name, ...missing(error instanceof Error ? error.message : String(error)) };
  }
}
