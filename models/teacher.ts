/**
 * The frozen teacher of AMD: a VideoMAE encoder that sees its own, larger set of tokens. Its targets are raw outputs of some
 * blocks, without norm; nothing after the last wanted block is computed.
 */
import { cubeTokens, encode } from "./encoder.ts";
import { coded, type FeatureDtype } from "./feature_codec.ts";
import { Parameters } from "./parameters.ts";
import {
  checkLayers,
  checkTransformer,
  type Compute,
  type CubeSize,
  cubeValues,
  type Form,
  type TokenGrid,
  tokensOf,
  type TransformerShape,
} from "./shapes.ts";
import { input, type Tensor } from "./tensor/mod.ts";
import { type ForwardProgram, forwardProgram } from "./train_step.ts";

/** Which encoder, and which of its blocks, counted from 1. */
export interface TeacherShape {
  shape: TransformerShape;
  layers: readonly number[];
}

/** What a teacher sees of clips. */
export interface TeacherBatch {
  grid: TokenGrid;
  /** @default "videomae" */
  form?: Form | undefined;
  /** `[B, N, P]`, levels 0 to 255, u8 or f32. */
  cubes: Tensor;
  /** The teacher's tokens, ascending, i32 `[B, Nt]`. */
  tokens: Tensor;
}

/**
 * Traces the teacher as far as its last wanted block.
 *
 * @returns outputs of the wanted blocks, f32 `[B, Nt, Dt]`, without that of a class token
 */
export function teacherFeatures(
  parameters: Parameters,
  frozen: Parameters,
  { shape, layers }: TeacherShape,
  compute: Compute,
  { grid, form, cubes, tokens }: TeacherBatch,
): Tensor[] {
  const used = { ...shape, depth: layers.at(-1)! };
  const outputs = encode(parameters, frozen, cubes, { grid, form, shape: used, compute, tokens });
  return layers.map((layer) => cubeTokens(outputs[layer]!, form));
}

/** What a teacher program is built for. */
export interface TeacherForwardOptions {
  /** @default "videomae" */
  form?: Form | undefined;
  grid: TokenGrid;
  cube: CubeSize;
  encoder: TransformerShape;
  /** Blocks wanted, counted from 1, ascending. */
  layers: readonly number[];
  /** Clips of a batch, B. */
  batch: number;
  /** Tokens of a clip that the teacher sees, Nt. */
  visible: number;
  /** How features are given out. @default "f16" */
  featureDtype?: FeatureDtype;
  compute: Compute;
}

/**
 * Features for the cache. Data: `cubes` u8 `[B, N, P]`, `teacher_tokens` i32 `[B, Nt]`, ascending. Outputs `features/0`,
 * ...: f16 `[B, Nt, Dt]`, one for each layer, rows in the order of the tokens; or u8, with `feature_scales/0`, ...: f32
 * `[B, Nt, 2]`, scale and offset of each token. Parameters are those of an encoder without
 * the `encoder.` prefix: `patch_embed.proj.weight`, `blocks.0.norm1.weight`, ...; with bf16, matrices are bf16 inputs.
 *
 * @throws {RangeError} if sizes do not fit each other
 */
export function teacherForward(options: TeacherForwardOptions): ForwardProgram {
  const { form, grid, cube, encoder, layers, batch, visible, featureDtype = "f16", compute } = options;
  checkTeacher({ shape: encoder, layers }, visible, tokensOf(grid));
  const parameters = new Parameters({ matrixType: compute });
  const frozen = new Parameters({ role: "frozen" });
  const cubes = input("cubes", [batch, tokensOf(grid), cubeValues(cube)], "u8");
  const tokens = input("teacher_tokens", [batch, visible], "i32");
  const features = teacherFeatures(parameters, frozen, { shape: encoder, layers }, compute, {
    grid,
    form,
    cubes,
    tokens,
  });
  const outputs = Object.assign({}, ...features.map((feature, i) => coded(i, feature, featureDtype)));
  return forwardProgram({ name: "teacher_forward", parameters, frozen, data: [cubes, tokens], outputs });
}

/** Checks a teacher's sizes against the grid it sees. */
export function checkTeacher({ shape, layers }: TeacherShape, visible: number, tokens: number): void {
  checkTransformer("teacher", shape);
  checkLayers("teacher", layers, shape.depth);
  if (!Number.isSafeInteger(visible) || visible < 1 || visible > tokens) {
    throw new RangeError(`The teacher's visible tokens must lie within 1 to ${tokens}, found ${visible}`);
  }
}
