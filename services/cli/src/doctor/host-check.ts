/** One thing this host must have, or should: what was found, and what mends it. */

export type Verdict = "ok" | "warning" | "missing";

export type Finding = {
  readonly name: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** What to do about it. */
  readonly mend?: string | undefined;
};

export type HostCheck = { readonly name: string; readonly run: () => Promise<Omit<Finding, "name">> };

/** A check that fails in an unforeseen way is a finding, too. */
export async function perform({ name, run }: HostCheck): Promise<Finding> {
  try {
    return { name, ...(await run()) };
  } catch (error) {
    return { name, verdict: "missing", found: error instanceof Error ? error.message : String(error) };
  }
}
