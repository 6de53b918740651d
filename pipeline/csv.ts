/** Tables as CSV (RFC 4180, with plain line feeds). */

/** One line a row; texts with commas, quotes or line breaks are quoted. */
export function csvText(rows: readonly (readonly (string | number)[])[]): string {
  return rows.map((row) => row.map(field).join(",") + "\n").join("");
}

function field(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
