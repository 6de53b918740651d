/**
 * The lists of Kinetics-400, -600 and -700: CSV with a header that names at least `youtube_id`, `time_start` and
 * `time_end`, `label` where there are labels, and `split`. The clip of a line is `ID_SSSSSS_EEEEEE.mp4` (seconds, six
 * digits), `ID_S_E.mp4` or `ID.mp4`, cut out already, under any video ending and wherever in the folder of videos it lies:
 * flat, or below folders of splits and classes, whose names have blanks or underscores.
 */
import { type Columns, columnsOf } from "./_columns.ts";
import { readCsv } from "./_csv.ts";
import type { ListEntry, ListSource, ParsedList } from "./_list_source.ts";
import { splitName } from "./_splits.ts";
import { VideoIndex } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/** Levels of folders below the root, such as split and class. */
const DEPTH = 2;

/**
 * @param source The list.
 * @param emit Receives its clips.
 * @throws {ListError} A line cannot be read.
 */
export async function parseKinetics(source: ListSource, emit: (entry: ListEntry) => void): Promise<ParsedList> {
  const videos = await VideoIndex.read(source.root, DEPTH);
  let missing = 0;
  let columns: Columns = {};
  readCsv(source.path, source.text, (names, line) => {
    columns = columnsOf(source.path, line, names, {
      id: ["youtube_id"],
      start: ["time_start"],
      end: ["time_end"],
      label: ["label"],
      split: ["split"],
    }, ["id", "start", "end"]);
  }, ({ line, fields }) => {
    const field = (name: string) => columns[name] === undefined ? null : fields[columns[name]]!;
    const id = field("id")!;
    if (!/^[\w-]+$/.test(id)) {
      const problem = `${JSON.stringify(id)} is no youtube_id: letters, digits, - and _ only`;
      throw new ListError(source.path, line, problem);
    }
    const label = field("label") || null;
    const [start, end] = [
      seconds(source, line, "time_start", field("start")!),
      seconds(source, line, "time_end", field("end")!),
    ];
    const name = `${id}_${padded(start)}_${padded(end)}`;
    let file: string | null = null;
    for (const stem of [name, `${id}_${start}_${end}`, id]) file ??= videos.locate(stem, label);
    if (file === null) missing++;
    const split = splitName(source.path, line, field("split"));
    emit({ name, file: file ?? `${name}.mp4`, label, line, ...(split && { split }) });
  });
  return { classes: source.classes, missing };
}

function seconds(source: ListSource, line: number, column: string, text: string): number {
  const value = Number(text);
  if (text !== "" && Number.isInteger(value) && value >= 0 && value < 1e6) return value;
  const found = JSON.stringify(text);
  throw new ListError(source.path, line, `${column} must be whole seconds below a million, found ${found}`);
}

function padded(seconds: number): string {
  return String(seconds).padStart(6, "0");
}
