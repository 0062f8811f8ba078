/** Random choices that can be repeated with a seed. */
export type Random = {
  readonly seed: number;
  /** From 0 to below 1. */
  next(): number;
  /** From 0 to below `count`. */
  below(count: number): number;
  pick<T>(items: readonly [T, ...T[]]): T;
};

/** The mulberry32 generator: 32 bits of state, good enough to choose operations. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number) => Math.floor(next() * count);
  return { seed, next, below, pick: (items) => items[below(items.length)] ?? items[0] };
}
