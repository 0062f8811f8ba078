/** Rows in aligned columns, as `ps` prints them: easy to read, and to process with awk. */

/** Aligns rows; the first is the heading. Cells must be printable and of single width. */
export const columns = (rows: readonly (readonly string[])[]): string => new Columns().text(rows);

/** Columns of rows that arrive over time. They grow and never shrink, so that they stay aligned with earlier lines. */
export class Columns {
  readonly #widths: number[] = [];

  text(rows: readonly (readonly string[])[]): string {
    const widths = this.#widths;
    for (const row of rows)
      for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
    return rows
      .map(
        (row) =>
          `${row
            .map((cell, i) => cell.padEnd(widths[i] ?? 0))
            .join("   ")
            .trimEnd()}\n`,
      )
      .join("");
  }
}
