/** The Cholesky factor of a symmetric positive definite matrix, and what it solves; float64, row-major. */

/**
 * The lower factor L of `matrix = L L^T`, [n, n]; above the diagonal are zeros.
 *
 * @throws {RangeError} if the matrix is not positive definite
 */
export function cholesky(matrix: Float64Array, n: number): Float64Array {
  const lower = new Float64Array(n * n);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column <= row; column++) {
      let rest = matrix[row * n + column]!;
      for (let k = 0; k < column; k++) rest -= lower[row * n + k]! * lower[column * n + k]!;
      if (row === column && !(rest > 0)) throw new RangeError(`Row ${row} makes the matrix not positive definite`);
      lower[row * n + column] = row === column ? Math.sqrt(rest) : rest / lower[column * n + column]!;
    }
  }
  return lower;
}

/** `L^-1 b`, in place of b, [n]. */
export function solveLower(lower: Float64Array, b: Float64Array): void {
  const n = b.length;
  for (let row = 0; row < n; row++) {
    let rest = b[row]!;
    for (let k = 0; k < row; k++) rest -= lower[row * n + k]! * b[k]!;
    b[row] = rest / lower[row * n + row]!;
  }
}

/** `L^-T b`, in place of b, [n]. */
export function solveTransposed(lower: Float64Array, b: Float64Array): void {
  const n = b.length;
  for (let row = n - 1; row >= 0; row--) {
    b[row] = b[row]! / lower[row * n + row]!;
    for (let k = 0; k < row; k++) b[k]! -= lower[row * n + k]! * b[row]!;
  }
}
