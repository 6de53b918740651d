/**
 * Jenkins' lookup3 hash ("hashlittle" with start value 0), public domain: the checksum of every new-style HDF5
 * structure (superblock version 2 and later, object headers version 2).
 */

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

/** Four bytes as a little-endian word; bytes past the end count as zero. */
function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | (bytes[at + 1] ?? 0) << 8 | (bytes[at + 2] ?? 0) << 16 | (bytes[at + 3] ?? 0) << 24;
}

/**
 * Hashes bytes to 32 bits.
 *
 * @param bytes What to hash.
 * @returns The hash, 0 to 2^32 - 1; of no bytes `0xdeadbeef`.
 */
export function lookup3(bytes: Uint8Array): number {
  let a = (0xdeadbeef + bytes.length) | 0, b = a, c = a, at = 0;
  for (; bytes.length - at > 12; at += 12) {
    a = (a + word(bytes, at)) | 0;
    b = (b + word(bytes, at + 4)) | 0;
    c = (c + word(bytes, at + 8)) | 0;
    a = ((a - c) | 0) ^ rotate(c, 4), c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotate(a, 6), a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotate(b, 8), b = (b + a) | 0;
    a = ((a - c) | 0) ^ rotate(c, 16), c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotate(a, 19), a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotate(b, 4), b = (b + a) | 0;
  }
  if (at === bytes.length) return c >>> 0;
  a = (a + word(bytes, at)) | 0;
  b = (b + word(bytes, at + 4)) | 0;
  c = (c + word(bytes, at + 8)) | 0;
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return c >>> 0;
}
