/** Columns of a list with a header: which field is which. */
import { ListError } from "./list_error.ts";

/** Place of each column that the list has, from 0. */
export type Columns = Partial<Record<string, number>>;

/**
 * Finds columns.
 *
 * @param path The list, for messages.
 * @param line Line of the header.
 * @param header Names of the columns, in lower case.
 * @param names Names that each column may have.
 * @param needed Columns that must be there.
 * @throws {ListError} One is missing, or comes twice.
 */
export function columnsOf(
  path: string,
  line: number,
  header: readonly string[],
  names: Readonly<Record<string, readonly string[]>>,
  needed: readonly string[],
): Columns {
  const columns: Columns = {};
  for (const [column, known] of Object.entries(names)) {
    const places = header.flatMap((name, i) => known.includes(name) ? [i] : []);
    if (places.length > 1) {
      const found = places.map((i) => header[i]).join(" and ");
      throw new ListError(path, line, `the header names the ${column} twice (${found}); remove one of them`);
    }
    if (places.length === 1) columns[column] = places[0]!;
    else if (needed.includes(column)) {
      const found = header.join(", ").slice(0, 200);
      throw new ListError(path, line, `the header has no column ${known[0]}; it has ${found}`);
    }
  }
  return columns;
}
