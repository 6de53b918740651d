/** The two 16-bit float types on the host: bits to numbers and back, rounded to nearest even. */

/** Numbers that float16 bits stand for. */
export function halfToFloat(bits: Uint16Array): Float32Array {
  return Float32Array.from(new Float16Array(bits.buffer, bits.byteOffset, bits.length));
}

/** Bits of the nearest float16 numbers. */
export function floatToHalf(values: ArrayLike<number>): Uint16Array {
  return new Uint16Array(Float16Array.from(values).buffer);
}

/** Numbers that bfloat16 bits stand for: a bfloat16 is the upper half of a float32. */
export function bfloatToFloat(bits: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
}

/** Bits of the nearest bfloat16 numbers, by way of float32. */
export function floatToBfloat(values: ArrayLike<number>): Uint16Array {
  const words = new Uint32Array(Float32Array.from(values).buffer);
  return Uint16Array.from(words, (word) => {
    // Rounding up a NaN could carry into the sign: keep it one.
    if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
    return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  });
}
