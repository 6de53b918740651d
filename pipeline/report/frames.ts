/**
 * Frames for the report out of cubes: masks drawn over them, what the student sees, and reconstructions. The model
 * predicts pixels normalised per cube and channel, `y = (x - mean) / (std + 1e-6)` with the unbiased deviation, or with
 * MAE's form per cube; it never tells mean and std. A picture either leaves them out or borrows them from the true cube,
 * and must say which.
 */
import { type CubeLayout, joinCubes } from "../../decoders/cubes.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../../models/patch_embed.ts";
import type { Form } from "../../models/shapes.ts";
import type { ReportPrediction } from "./report_data.ts";

/** A colour, [R, G, B], 0 to 255. */
export type Rgb = readonly [number, number, number];

/** Colours of the masks: blue and orange of the Okabe-Ito set, and grey, which differ in lightness too. */
export const MASK_COLOURS: { readonly student: Rgb; readonly teacherOnly: Rgb; readonly hidden: Rgb } = {
  student: [0, 114, 178],
  teacherOnly: [230, 159, 0],
  hidden: [140, 140, 140],
};

/** Drawn where there is nothing to show. */
const MID_GREY = 128;
/** Standard deviations from mid grey to black or white. */
export const GREY_SPAN = 3;
/** As in the loss: it keeps flat cubes finite. */
const EPSILON = 1e-6;

/**
 * Draws over every cube whether student and teacher see it: the colour mixed with the pixels, much of it where nobody
 * sees them.
 *
 * @param cubes The view, [N, P], uint8.
 * @param layout Its sizes.
 * @param studentTokens Tokens that the student sees.
 * @param teacherOnlyTokens Tokens that only the teacher sees.
 * @returns Frames, [T, H, W, 3], uint8.
 */
export function maskFrames(
  cubes: Uint8Array,
  layout: CubeLayout,
  studentTokens: Int32Array,
  teacherOnlyTokens: Int32Array,
): Uint8Array {
  checkSize("cubes", cubes.length, layout.bytes);
  const [student, teacherOnly] = [new Set(studentTokens), new Set(teacherOnlyTokens)];
  const drawn = cubes.slice();
  for (let token = 0; token < layout.tokens; token++) {
    const colour = student.has(token)
      ? MASK_COLOURS.student
      : teacherOnly.has(token)
      ? MASK_COLOURS.teacherOnly
      : MASK_COLOURS.hidden;
    mix(cubeOf(drawn, token, layout), colour, colour === MASK_COLOURS.hidden ? 0.85 : 0.5);
  }
  return joinCubes(drawn, layout);
}

function mix(cube: Uint8Array, colour: Rgb, amount: number): void {
  for (let i = 0; i < cube.length; i++) {
    cube[i] = Math.round((cube[i] ?? 0) * (1 - amount) + (colour[i % 3] ?? 0) * amount);
  }
}

/**
 * What the student sees; all else is mid grey.
 *
 * @returns Frames, [T, H, W, 3], uint8.
 */
export function visibleFrames(cubes: Uint8Array, layout: CubeLayout, studentTokens: Int32Array): Uint8Array {
  checkSize("cubes", cubes.length, layout.bytes);
  const drawn = new Uint8Array(layout.bytes).fill(MID_GREY);
  for (const token of studentTokens) cubeOf(drawn, token, layout).set(cubeOf(cubes, token, layout));
  return joinCubes(drawn, layout);
}

/** What becomes of the mean and deviation of a cube that the model does not predict. */
export type CubeStatistics =
  /** Those of the true cube are put back, which the model was not told and did not find. */
  | "true"
  /** None: mid grey is the mean, black and white are `GREY_SPAN` deviations away. */
  | "none";

/**
 * Turns a reconstruction into frames. With true statistics the cubes that the student saw stand beside the predicted
 * ones; without, they are left mid grey.
 *
 * @param prediction Rows of normalised pixels, [Nm, P], f32, and their tokens.
 * @param cubes The view, [N, P], uint8.
 * @param layout Its sizes.
 * @param statistics Where mean and deviation come from.
 * @returns Frames, [T, H, W, 3], uint8.
 * @throws {RangeError} If the prediction does not have the size that its tokens ask for, or a token is outside the view.
 */
export function predictedFrames(
  prediction: ReportPrediction,
  cubes: Uint8Array,
  layout: CubeLayout,
  statistics: CubeStatistics,
): Uint8Array {
  const { tokens, values, form } = prediction;
  checkSize("cubes", cubes.length, layout.bytes);
  checkSize("prediction", values.length, tokens.length * layout.bytesPerToken);
  const drawn = statistics === "true" ? cubes.slice() : new Uint8Array(layout.bytes).fill(MID_GREY);
  tokens.forEach((token, row) => {
    if (token < 0 || token >= layout.tokens) {
      throw new RangeError(`Cannot draw a prediction: token ${token} is not among the ${layout.tokens} of the view`);
    }
    const row0 = row * layout.bytesPerToken;
    const normalised = values.subarray(row0, row0 + layout.bytesPerToken);
    const target = cubeOf(drawn, token, layout);
    const known = statistics === "true" ? statisticsOf(cubeOf(cubes, token, layout), form) : undefined;
    for (let channel = 0; channel < 3; channel++) {
      const { mean, deviation } = known?.[channel] ?? { mean: MID_GREY, deviation: 127 / GREY_SPAN };
      for (let i = channel; i < target.length; i += 3) {
        target[i] = Math.max(0, Math.min(255, Math.round((normalised[i] ?? 0) * deviation + mean)));
      }
    }
  });
  return joinCubes(drawn, layout);
}

/** What the model should have predicted: the hidden cubes normalised as in the loss, [Nm, P], f32. */
export function normalisedCubes(
  tokens: Int32Array,
  cubes: Uint8Array,
  layout: CubeLayout,
  form?: Form,
): ReportPrediction {
  checkSize("cubes", cubes.length, layout.bytes);
  const values = new Float32Array(tokens.length * layout.bytesPerToken);
  tokens.forEach((token, row) => {
    const cube = cubeOf(cubes, token, layout);
    statisticsOf(cube, form).forEach(({ mean, deviation }, channel) => {
      for (let i = channel; i < cube.length; i += 3) {
        values[row * layout.bytesPerToken + i] = ((cube[i] ?? 0) - mean) / deviation;
      }
    });
  });
  return { tokens, values, form };
}

/** What is taken out of a cube, for each channel, in steps of 1/255. */
function statisticsOf(cube: Uint8Array, form?: Form): { mean: number; deviation: number }[] {
  if (form !== "mae") return [0, 1, 2].map((channel) => channelStatistics(cube, channel));
  // All values as one, as the network sees them: channels are scaled by the data set's statistics first.
  const seen = Array.from(cube, (level, i) => (level / 255 - PIXEL_MEAN[i % 3]!) / PIXEL_DEVIATION[i % 3]!);
  const mean = seen.reduce((sum, value) => sum + value, 0) / seen.length;
  const variance = seen.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (seen.length - 1);
  return PIXEL_DEVIATION.map((scale, channel) => ({
    mean: 255 * (scale * mean + PIXEL_MEAN[channel]!),
    deviation: 255 * scale * Math.sqrt(variance + EPSILON),
  }));
}

/** Mean and unbiased deviation (epsilon added) of one channel of a cube, in steps of 1/255. */
function channelStatistics(cube: Uint8Array, channel: number): { mean: number; deviation: number } {
  const values: number[] = [];
  for (let i = channel; i < cube.length; i += 3) values.push(cube[i] ?? 0);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) + 255 * EPSILON };
}

function cubeOf(cubes: Uint8Array, token: number, { bytesPerToken }: CubeLayout): Uint8Array {
  return cubes.subarray(token * bytesPerToken, (token + 1) * bytesPerToken);
}

function checkSize(name: string, found: number, expected: number): void {
  if (found !== expected) {
    throw new RangeError(`Cannot draw a clip: ${name} has ${found} values, expected ${expected}`);
  }
}
