/** The faults that a chaos run looks for, and how it reports them. */

/** The kinds of faults, by name. */
export const CHAOS_FINDINGS = [
  "vms_without_record",
  "records_without_vm",
  "leaked_resources",
  "lost_results",
  "invented_exits",
] as const;
export type ChaosFindingKind = (typeof CHAOS_FINDINGS)[number];

/** A fault, or several of one kind. It ends the run, so that its traces can be examined. */
export class ChaosFinding extends Error {
  override readonly name = "ChaosFinding";
  readonly kind: ChaosFindingKind;
  readonly count: number;

  constructor(kind: ChaosFindingKind, what: readonly string[]) {
    super(`${kind}: ${what.join("; ")}`);
    this.kind = kind;
    this.count = what.length;
  }
}

/** Throws if there is any fault. */
export function findNone(kind: ChaosFindingKind, what: readonly string[]): void {
  if (what.length > 0) throw new ChaosFinding(kind, what);
}

/** Throws if the reported value is not the expected one. */
export function findSame(kind: ChaosFindingKind, about: string, reported: unknown, was: unknown): void {
  if (reported !== was) throw new ChaosFinding(kind, [`${about} is ${String(reported)}, not ${String(was)}`]);
}
