/** The features of a row as a teacher gives them: sizes and values are checked before anything is stored. */
import { type FeatureData, HALF_INFINITY, halfBytes, halfValue, largestHalf } from "./_half.ts";
import { bytesOf } from "./_positional.ts";
import { type FeaturesConfig, teacherTokens } from "./feature_format.ts";

/** Largest code of a byte. */
const CODES = 255;

/** Features of one row and level as bytes: a value is `code * scale + offset` of its token. */
export interface CodedFeatures {
  /** [teacherTokens, width]. */
  readonly codes: Uint8Array;
  /** Scale and offset of each token, [teacherTokens, 2]. */
  readonly scales: Float32Array;
}

/** What is stored of a row and level. */
export interface StoredLevel {
  readonly features: Uint8Array;
  /** For bytes alone. */
  readonly scales?: Uint8Array;
  /** Largest magnitude. */
  readonly absmax: number;
}

/**
 * Checks a level and gives its bytes.
 *
 * @throws {RangeError} if it has another form or size than the set, or a value that is not finite
 */
export function storedLevel(
  config: FeaturesConfig,
  index: number,
  row: number,
  data: FeatureData | CodedFeatures,
): StoredLevel {
  const { block, width } = config.levels[index]!, tokens = teacherTokens(config), { dtype } = config;
  const place = `level ${index} (block ${block}) of row ${row}`;
  if (("codes" in data) !== (dtype === "u8")) {
    throw new RangeError(`The features of ${place} are ${dtype === "u8" ? "no codes" : "codes"}, the set has ${dtype}`);
  }
  const checkSize = (what: string, found: number, ...sizes: number[]) => {
    if (found === sizes.reduce((product, size) => product * size)) return;
    throw new RangeError(`The ${what} of ${place} have ${found} bytes, expected ${sizes.join(" x ")}`);
  };
  if ("codes" in data) {
    const { codes, scales } = data;
    checkSize("features", codes.length, tokens, width);
    checkSize("scales", scales.byteLength, tokens, 2, 4);
    let absmax = 0;
    for (let token = 0; token < tokens; token++) {
      const scale = scales[2 * token]!, offset = scales[2 * token + 1]!;
      if (!Number.isFinite(scale) || !Number.isFinite(offset)) {
        throw new RangeError(`The features of ${place} hold a value that is not finite`);
      }
      absmax = Math.max(absmax, Math.abs(offset), Math.abs(offset + CODES * scale));
    }
    return { features: codes, scales: bytesOf(scales), absmax };
  }
  const features = halfBytes(data);
  checkSize("features", features.length, tokens, width, 2);
  const bits = largestHalf(features);
  if (bits > HALF_INFINITY) throw new RangeError(`The features of ${place} hold a value that is not a number`);
  if (bits === HALF_INFINITY) {
    throw new RangeError(
      `The features of ${place} exceed float16 (magnitudes below 65520): keep them with --feature-dtype u8`,
    );
  }
  return { features, absmax: halfValue(bits) };
}
