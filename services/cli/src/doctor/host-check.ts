/** A check of something that the host must or should have: what was found, and how to fix it. */

export type Verdict = "ok" | "warning" | "missing";

export type Finding = {
  readonly name: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** How to fix it. */
  readonly fix?: string | undefined;
};

export type HostCheck = { readonly name: string; readonly run: () => Promise<Omit<Finding, "name">> };

/** Runs a check. An unexpected failure is a finding too. */
export async function perform({ name, run }: HostCheck): Promise<Finding> {
  try {
    return { name, ...(await run()) };
  } catch (error) {
    return { name, verdict: "missing", found: error instanceof Error ? error.message : String(error) };
  }
}
