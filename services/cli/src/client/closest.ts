/** "Did you mean": the word that takes the fewest changes, if they are few. */

/** At most a third of the letters may differ. */
export function closest(text: string, words: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(text.length / 3));
  const ranked = words
    .map((word) => ({ word, changes: distance(text, word) }))
    .filter(({ changes }) => changes <= limit)
    .sort((a, b) => a.changes - b.changes);
  return ranked[0]?.word;
}

/** Letters to insert, remove or replace (Levenshtein). */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
