/**
 * One of several equal parts of a set's shards, for batch systems: part 3 of 16 has every 16th shard, the third one
 * first. It depends on nothing but the numbers, so jobs of an array need not talk to each other.
 */
import { SettingsError } from "../settings.ts";

/** A part, counted from 1. */
export interface Part {
  readonly number: number;
  readonly of: number;
}

/**
 * Reads a part.
 *
 * @param text Such as "3/16".
 * @throws {SettingsError} If it is none.
 */
export function parsePart(text: string): Part {
  const [, number, of] = /^(\d{1,6})\/(\d{1,6})$/.exec(text)?.map(Number) ?? [];
  if (number === undefined || of === undefined || number < 1 || number > of) {
    throw new SettingsError([`--part is "${text}": expected a part and their number, such as 3/16`]);
  }
  return { number, of };
}

/** Shards of a part, ascending; none if there are fewer shards than parts. */
export function shardsOfPart(shards: number, { number, of }: Part): number[] {
  return Array.from({ length: Math.ceil((shards - number + 1) / of) }, (_, i) => number - 1 + i * of);
}
