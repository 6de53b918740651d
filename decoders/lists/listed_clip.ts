/** What lists consist of, and the names of their formats. */
import type { ClipSpan } from "../span.ts";

/** A clip of a list. */
export interface ListedClip {
  /** What the list calls it: a path, or an id. It does not depend on where the videos lie. */
  name: string;
  /** The file, or folder of pictures, inside the folder of videos. */
  path: string;
  /** Number of its class, or null where the list has no labels. */
  label: number | null;
  /** Pictures of a folder of pictures, where the list says how many. */
  frames?: number;
  /** The part of the clip that is meant, where it is not the whole. */
  span?: ClipSpan;
}

/** Every format of lists, in the order of the documentation. */
export const LIST_FORMATS = [
  "ssv2",
  "kinetics",
  "videomae",
  "folder",
  "ucf101",
  "hmdb51",
  "csv",
  "jsonl",
] as const;

/** A format of lists. */
export type ListFormat = typeof LIST_FORMATS[number];

/** What decides the views of a clip, as JSON: name, label, and what a list says beyond. */
export function clipRecord({ name, label, frames, span }: ListedClip): string {
  const more = frames === undefined && span === undefined ? [] : [frames ?? null, span ?? null];
  return JSON.stringify([name, label, ...more]);
}
