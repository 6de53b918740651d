/**
 * Threefry-2x32 as plain operations on u32, so that its words are the same on every device: XLA's own generator promises
 * that only within one backend. Every element computes its whole block and keeps one word of it: twice the arithmetic, but
 * one fused loop without a pass that interleaves words.
 */
import type { Shape } from "../tensor/mod.ts";
import type { HloValue, HloWriter } from "./_hlo_writer.ts";
import { PARITY, ROTATIONS, ROUNDS, ROUNDS_OF_A_KEY } from "./_threefry.ts";

/**
 * The layout of `randomBits`: element `[b, i]` is word `i mod 2` of block `(floor(i / 2), stream)` under `keys[b]`.
 *
 * @param keys `u32[B, 2]`
 * @param shape `[B, count]`
 */
export function lowerRandomBits(
  writer: HloWriter,
  keys: HloValue,
  shape: Shape,
  { stream, bits }: { readonly stream: number; readonly bits: number },
): HloValue {
  const number = (value: number) => writer.constant(value, shape, "u32");
  const op = (name: string, x: HloValue, y: HloValue) => writer.elementwise(name, x, y);
  const rotated = (x: HloValue, turn: number) =>
    op("or", op("shift_left", x, number(turn)), op("shift_right_logical", x, number(32 - turn)));
  const word = (which: number) =>
    writer.broadcast(writer.reshape(writer.slice(keys, 1, which, which + 1), shape.slice(0, 1)), [0], shape);

  const [key0, key1] = [word(0), word(1)];
  const key = [key0, key1, op("xor", op("xor", key0, key1), number(PARITY))];
  const index = writer.iota(1, shape, "u32");
  let x = op("add", op("shift_right_logical", index, number(1)), key0);
  let y = op("add", number(stream), key1);
  for (let round = 0; round < ROUNDS; round++) {
    x = op("add", x, y);
    y = op("xor", rotated(y, ROTATIONS[round % ROTATIONS.length]!), x);
    if ((round + 1) % ROUNDS_OF_A_KEY === 0) {
      const time = (round + 1) / ROUNDS_OF_A_KEY;
      x = op("add", x, key[time % 3]!);
      y = op("add", op("add", y, key[(time + 1) % 3]!), number(time));
    }
  }
  const odd = writer.convert(op("and", index, number(1)), "bool");
  const words = writer.select(odd, y, x);
  return bits === 32 ? words : op("shift_right_logical", words, number(32 - bits));
}
