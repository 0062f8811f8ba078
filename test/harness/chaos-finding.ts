/** What a run of chaos looks for, and how what it finds is told. */

/** What must not be, by name. */
export const CHAOS_FINDINGS = [
  "vms_without_record",
  "records_without_vm",
  "leaked_resources",
  "lost_results",
  "invented_exits",
] as const;
export type ChaosFindingKind = (typeof CHAOS_FINDINGS)[number];

/** Something that must not be, or several of a kind. Ends the run, so that its traces can be looked at. */
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

/** Throws when there is anything that must not be. */
export function findNone(kind: ChaosFindingKind, what: readonly string[]): void {
  if (what.length > 0) throw new ChaosFinding(kind, what);
}

/** Throws when what is told is not what was. */
export function findSame(kind: ChaosFindingKind, about: string, told: unknown, was: unknown): void {
  if (told !== was) throw new ChaosFinding(kind, [`${about} is ${String(told)}, not ${String(was)}`]);
}
