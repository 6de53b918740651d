/**
 * The lists of Kinetics: CSV with a header that names at least `youtube_id`, `time_start` and `time_end`, and `label`
 * where there are labels. The clip of a line is `ID_SSSSSS_EEEEEE.mp4` (seconds, six digits), wherever in the folder of
 * videos it lies: flat, or below folders of splits and classes.
 */
import { linesOf, type ListSource, numberClasses, type ParsedList, splitFields, unknownLabel } from "./_list_source.ts";
import { findVideos } from "./_video_files.ts";
import { ListError } from "./list_error.ts";

/** Levels of folders below the root, such as split and class. */
const DEPTH = 2;

/** A line of the list. */
interface Row {
  line: number;
  /** Name of the clip without its ending. */
  name: string;
  label: string | null;
}

/**
 * @param source The list.
 * @returns Its clips; labels are numbered by the order of their names unless classes are given.
 * @throws {ListError} A line cannot be read.
 */
export async function parseKinetics(source: ListSource): Promise<ParsedList> {
  const [header, ...lines] = linesOf(source.text);
  const names = header === undefined ? [] : fieldsOf(source, header);
  const column = (name: string) => names.indexOf(name);
  for (const name of ["youtube_id", "time_start", "time_end"]) {
    if (column(name) < 0) throw new ListError(source.path, header?.line ?? 1, `the header has no column ${name}`);
  }
  const rows = lines.map((line): Row => {
    const fields = fieldsOf(source, line);
    if (fields.length !== names.length) {
      throw new ListError(
        source.path,
        line.line,
        `has ${fields.length} fields where the header has ${names.length}; put a field with commas in double quotes`,
      );
    }
    const field = (name: string) => fields[column(name)]!;
    const id = field("youtube_id");
    if (!/^[\w-]+$/.test(id)) {
      throw new ListError(
        source.path,
        line.line,
        `${JSON.stringify(id)} is no youtube_id: letters, digits, - and _ only`,
      );
    }
    const times = ["time_start", "time_end"].map((name) => seconds(source, line.line, name, field(name)));
    return { line: line.line, name: [id, ...times].join("_"), label: column("label") < 0 ? null : field("label") };
  });

  const labelled = rows.flatMap(({ label }) => label ?? []);
  const { classes, numbers } = numberClasses(source, labelled);
  const videos = await findVideos(source.root, DEPTH);
  const entries = rows.map(({ line, name, label }) => {
    const number = label === null ? null : numbers.get(label) ?? unknownLabel(source, line, label);
    return { name, file: place(videos.get(name), name, label), label: number, line };
  });
  return { entries, classes: column("label") < 0 ? source.classes : classes };
}

function fieldsOf(source: ListSource, { line, text }: { line: number; text: string }): string[] {
  const fields = splitFields(text, ",");
  if (fields === null) {
    throw new ListError(source.path, line, "a double quote is not closed, or not followed by a comma");
  }
  return fields;
}

/** Whole seconds with six digits. */
function seconds(source: ListSource, line: number, column: string, text: string): string {
  const value = Number(text);
  if (text !== "" && Number.isInteger(value) && value >= 0 && value < 1e6) return String(value).padStart(6, "0");
  throw new ListError(
    source.path,
    line,
    `${column} must be whole seconds below a million, found ${JSON.stringify(text)}`,
  );
}

/** Of several files of that name the one in the folder of its class; of none the place where a flat folder has it. */
function place(found: readonly string[] | undefined, name: string, label: string | null): string {
  if (found === undefined) return `${name}.mp4`;
  const ofClass = (file: string) => file.split("/").at(-2)?.replaceAll("_", " ") === label?.replaceAll("_", " ");
  return found.find(ofClass) ?? found[0]!;
}
