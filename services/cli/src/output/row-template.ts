/**
 * A template for rows, as docker's `--format`: text with fields as `{{.Names}}`, and `\t` and `\n` for tab and newline. "table" in
 * front makes columns of what tabs separate, below a heading. Go's functions, conditions and loops are not supported.
 */
import { usageError } from "../cli-error.ts";
import { columns } from "./columns.ts";
import { printable } from "./printable.ts";

/** Texts and names of fields in turn. */
type Piece = { readonly text: string } | { readonly field: string };

export type RowTemplate = {
  readonly isTable: boolean;
  /** The row with the values of its fields. Newlines remain in it. */
  readonly fill: (cellOf: (field: string) => string) => string;
};

/** The filled rows, one line each. Text of tenants is made printable. `cellOf` gives a field of a row. */
export function filledRows<Row>(
  template: RowTemplate,
  rows: readonly Row[],
  cellOf: (row: Row, field: string) => string,
): string {
  const lines = rows.map((row) => template.fill((field) => printable(cellOf(row, field))));
  if (!template.isTable) return lines.map((line) => `${line}\n`).join("");
  const heading = template.fill((field) => field.toUpperCase());
  return columns([heading, ...lines].map((line) => line.split("\t")));
}

const FIELD = /\{\{\s*\.([A-Za-z]+)\s*\}\}/g;
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\\t", "\t"],
  ["\\n", "\n"],
  ["\\\\", "\\"],
]);

/** Throws a usage error for a template with anything but the named fields. */
export function parseRowTemplate(text: string, fields: ReadonlyMap<string, unknown>): RowTemplate {
  if (text === "json" || /^\{\{\s*json\s+\.\s*\}\}$/.test(text))
    throw usageError("--format does not print JSON", "write -o json");
  const isTable = /^table\s/.test(text);
  const pieces = piecesOf(isTable ? text.slice("table ".length) : text);
  for (const piece of pieces) {
    if ("field" in piece && !fields.has(piece.field))
      throw usageError(
        `--format: there is no field ".${piece.field}"`,
        `one of ${[...fields.keys()].map((field) => `.${field}`).join(", ")}; -o json has everything`,
      );
    if ("text" in piece && piece.text.includes("{{"))
      throw usageError(
        `--format: "${text}" is not supported: it takes fields alone, such as {{.Names}}`,
        "use -o json and jq for anything else",
      );
  }
  return {
    isTable,
    fill: (cellOf) => pieces.map((piece) => ("text" in piece ? piece.text : cellOf(piece.field))).join(""),
  };
}

function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(FIELD)) {
    pieces.push({ text: unescaped(text.slice(at, match.index)) }, { field: match[1] ?? "" });
    at = match.index + match[0].length;
  }
  return [...pieces, { text: unescaped(text.slice(at)) }];
}

const unescaped = (text: string): string => text.replace(/\\[tn\\]/g, (pair) => ESCAPES.get(pair) ?? pair);
