/** CSV with a header line, record by record, through csv-parse: quotes, commas and line breaks in fields, any line end. */
import { CsvError, type InfoRecord, parse } from "csv-parse/sync";
import { MAX_LINE, tooLong } from "./_list_source.ts";
import { ListError } from "./list_error.ts";

/** A record. */
export interface CsvRecord {
  /** The line on which it ends, from 1. */
  line: number;
  /** Its fields without blanks around them, as many as the header has. */
  fields: string[];
}

/** What was found instead of a field, by csv-parse's codes. */
const QUOTES: Partial<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: "a double quote is not closed",
  CSV_INVALID_CLOSING_QUOTE: "text follows a closing double quote; write a quote inside a field twice",
  INVALID_OPENING_QUOTE: "a double quote stands inside a field; put the whole field into quotes, the quote twice",
};

/** Separators that a header may have. */
const SEPARATORS = [",", "\t", ";"];

/** Separator of a header: the one that it has most of. */
export function separatorOf(header: string): string {
  const count = (separator: string) => header.split(separator).length;
  return SEPARATORS.toSorted((a, b) => count(b) - count(a))[0]!;
}

/**
 * Reads CSV.
 *
 * @param path The list, for messages.
 * @param text Its text.
 * @param onHeader Called once with the names of the columns, in lower case.
 * @param onRecord Called with every record.
 * @throws {ListError} A quote or a number of fields is wrong.
 */
export function readCsv(
  path: string,
  text: string,
  onHeader: (names: readonly string[], line: number) => void,
  onRecord: (record: CsvRecord) => void,
): void {
  let columns: number | null = null;
  let last = 0;
  const take = (fields: string[], { lines: line }: InfoRecord): null => {
    if (columns === null) {
      columns = fields.length;
      onHeader(fields.map((name) => name.toLowerCase()), line);
    } else if (fields.length !== columns) {
      const found = `has ${fields.length} fields where the header has ${columns}`;
      throw new ListError(path, line, `${found}; put a field with commas in double quotes`);
    } else onRecord({ line, fields });
    last = line;
    return null; // nothing is kept
  };
  try {
    parse(text, {
      delimiter: separatorOf(/[^\r\n]*/.exec(text.trimStart().slice(0, MAX_LINE))![0]),
      record_delimiter: ["\r\n", "\n", "\r"],
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
      max_record_size: MAX_LINE,
      on_record: take as (record: string[], info: InfoRecord) => null,
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    // csv-parse tells where it gave up, which may be far below the quote that is not closed.
    if (error.code === "CSV_MAX_RECORD_SIZE") throw tooLong(path, last + 1);
    const line = error.code === "CSV_QUOTE_NOT_CLOSED" ? last + 1 : Number(error["lines"]);
    throw new ListError(path, line, QUOTES[error.code] ?? `is not CSV: ${error.message}`);
  }
}
