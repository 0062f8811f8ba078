/** Rows in aligned columns, the way `ps` and its kin print them: easy to read, and to cut with awk. */

/** The first row is the heading. Cells must be printable and of single width. */
export const columns = (rows: readonly (readonly string[])[]): string => new Columns().text(rows);

/** Columns of rows that come bit by bit: they grow with what comes, and never shrink, so that lines stay where they were. */
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
