/** The name a user may have meant: for "did you mean" in messages about unknown flags, keys, presets and stages. */

/** Single-letter insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}

/**
 * The known name nearest to what was typed, if it is near enough to be meant.
 *
 * @param typed What the user wrote; only its first 60 letters count.
 * @param known Names that exist.
 * @returns The name at the smallest edit distance, at most a third of the typed length and at least 1; else undefined.
 */
export function nearestName(typed: string, known: Iterable<string>): string | undefined {
  const word = typed.slice(0, 60).toLowerCase();
  let best: string | undefined;
  let distance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const name of known) {
    const d = editDistance(word, name.toLowerCase());
    if (d < distance) [best, distance] = [name, d];
  }
  return best;
}

/** `; did you mean NAME` to append to a message, or nothing. */
export function didYouMean(typed: string, known: Iterable<string>, prefix = ""): string {
  const name = nearestName(typed, known);
  return name === undefined ? "" : `; did you mean ${prefix}${name}`;
}
