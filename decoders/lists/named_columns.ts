/**
 * Lists whose columns have names: CSV with a header (commas, semicolons or tabs), or JSON objects, one a line or in an
 * array. `path` must be there; `label` is the name or number of a class, `split` is train, val or test, `start` and `end`
 * are seconds of the clip, `frames` is how many pictures a folder of pictures has. Other columns are passed over. A
 * `classes.txt` beside the list names labels that are numbers.
 */
import { readClassNames } from "./_class_names.ts";
import { type Columns, columnsOf } from "./_columns.ts";
import { readCsv } from "./_csv.ts";
import { eachJsonItem, parseJson } from "./_json_items.ts";
import { linesOf, type ListEntry, type ListSource, type ParsedList } from "./_list_source.ts";
import { splitName } from "./_splits.ts";
import { ListError } from "./list_error.ts";

/** Names of the columns. */
export const COLUMN_NAMES = {
  path: ["path", "file", "filename", "video", "video_path", "image", "image_path"],
  label: ["label", "class", "class_name"],
  split: ["split"],
  start: ["start", "start_time", "time_start"],
  end: ["end", "end_time", "time_end"],
  frames: ["frames", "total_frames", "num_frames"],
} as const;

type Column = keyof typeof COLUMN_NAMES;

/** Fields of a clip as texts; empty and null are the same. */
type Row = Partial<Record<Column, string | null>>;

/**
 * Reads CSV with a header.
 *
 * @param source The list.
 * @param emit Receives its clips.
 * @throws {ListError} A line cannot be read.
 */
export async function parseCsvList(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  let columns: Columns = {};
  readCsv(source.path, source.text, (names, line) => {
    columns = columnsOf(source.path, line, names, COLUMN_NAMES, ["path"]);
  }, ({ line, fields }) => {
    const row = Object.entries(columns).map(([column, place]) => [column, fields[place!]]);
    emit(entryOf(source, line, Object.fromEntries(row) as Row));
  });
  return await classesOf(source);
}

/**
 * Reads JSON objects, one a line or in an array.
 *
 * @param source The list.
 * @param emit Receives its clips.
 * @throws {ListError} A line cannot be read.
 */
export async function parseJsonList(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  const { path, text } = source;
  const take = (item: unknown, line: number) => emit(entryOf(source, line, rowOf(source, line, item)));
  if (text.trimStart().startsWith("[")) eachJsonItem(path, text, take);
  else for (const { line, text: item } of linesOf(path, text)) take(parseJson(path, item, line), line);
  return await classesOf(source);
}

async function classesOf(source: ListSource): Promise<ParsedList> {
  const classes = source.classes ?? await readClassNames(source.path);
  return { classes, missing: null, numbersAsNames: true };
}

function rowOf(source: ListSource, line: number, item: unknown): Row {
  if (typeof item !== "object" || item === null || Array.isArray(item)) {
    const found = JSON.stringify(item).slice(0, 200);
    throw new ListError(source.path, line, `must be an object such as {"path": "a.mp4", "label": 0}, found ${found}`);
  }
  const names = Object.keys(item);
  const columns = columnsOf(source.path, line, names.map((name) => name.toLowerCase()), COLUMN_NAMES, ["path"]);
  const row: Row = {};
  for (const [column, place] of Object.entries(columns)) {
    const value: unknown = (item as Record<string, unknown>)[names[place!]!];
    if (value !== null && typeof value !== "string" && typeof value !== "number") {
      const found = JSON.stringify(value).slice(0, 200);
      throw new ListError(source.path, line, `the ${column} must be a text or a number, found ${found}`);
    }
    row[column as Column] = value === null ? null : String(value);
  }
  return row;
}

function entryOf(source: ListSource, line: number, row: Row): ListEntry {
  const file = row.path;
  if (!file) throw new ListError(source.path, line, "names no file; remove the line or fill in its path");
  const start = number(source, line, "start", row.start);
  const end = number(source, line, "end", row.end);
  if (end !== null && end <= (start ?? 0)) {
    throw new ListError(source.path, line, `ends at ${end} s, which is not after its start at ${start ?? 0} s`);
  }
  const frames = number(source, line, "frames", row.frames);
  if (frames !== null && (!Number.isInteger(frames) || frames < 1)) {
    throw new ListError(source.path, line, `the frames must be a whole number of at least 1, found ${frames}`);
  }
  const split = splitName(source.path, line, row.split ?? null);
  const span = start === null && end === null ? null : { start: start ?? 0, end };
  return {
    name: span === null ? file : `${file}@${span.start}-${span.end ?? ""}`,
    file,
    label: row.label || null,
    line,
    ...(split && { split }),
    ...(frames !== null && { frames }),
    ...(span && { span }),
  };
}

function number(source: ListSource, line: number, column: Column, text: string | null | undefined): number | null {
  if (text === null || text === undefined || text === "") return null;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  const unit = column === "frames" ? "" : " of seconds";
  const found = JSON.stringify(text);
  throw new ListError(source.path, line, `the ${column} must be a number${unit} of at least 0, found ${found}`);
}
