/**
 * The encoder of somebody else's checkpoint. Everything in the file must be known: tensors that are missing, have another
 * shape or are expected by nobody are listed with their shapes, and refuse the file unless that is allowed.
 */
import { isLeftOut } from "../../models/checkpoints/left_out.ts";
import { loadParameters } from "../../models/checkpoints/official_names.ts";
import { openWeights, type WeightsSource } from "../../models/checkpoints/open_weights.ts";
import { fitPositions, POSITION_NAMES } from "../../models/checkpoints/positions.ts";
import { initialParameters, type ParameterSpec } from "../../models/parameters.ts";
import { gridSinusoid } from "../../models/positions.ts";
import type { TokenGrid } from "../../models/shapes.ts";
import type { Shape } from "../../models/tensor/mod.ts";
import type { HostParameters } from "./weights.ts";

/** Most that a table kept in 16 bits differs from the formula. */
const TABLE_ROUNDING = 1e-3;
/** How many tensors of a kind a message lists. */
const SHOWN = 20;

/** How to read an encoder. */
export interface ReadEncoderOptions {
  /** Parameters of the network, named as an encoder's, with or without `encoder.`. */
  readonly specs: readonly ParameterSpec[];
  /** Blocks of the encoder, those that the network does not need among them. */
  readonly depth: number;
  /** Tokens that the network sees, for position tables that the file keeps. */
  readonly grid: TokenGrid;
  /** Refuse a file in which tensors are missing, unexpected or of another shape; else they are told, and drawn anew. */
  readonly strict: boolean;
  /** Gives `count` numbers in [0, 1) for a parameter that the file lacks. */
  readonly uniforms: (count: number, name: string) => ArrayLike<number>;
  readonly warn: (message: string) => void;
}

/**
 * Reads an encoder.
 *
 * @param path Safetensors, `.pth` or `.index.json`, with our, official, hub or MAE names.
 * @returns The parameters; with a position table of the file, if it keeps one, as `positions.WIDTH`, unless it is MAE's own
 * for this grid, which the network has anyway.
 * @throws {TypeError} if the file does not fit and must
 * @throws {SyntaxError} if the file is not whole
 */
export async function readEncoder(path: string, options: ReadEncoderOptions): Promise<HostParameters> {
  const { specs, depth, strict, uniforms, warn } = options;
  await using file = await openWeights(path);
  const { values, missing, unused, misfits } = await loadParameters(file, specs, { allowMisfits: true });
  const lacking = specs.filter(({ name }) => missing.includes(name));
  const unexpected = unused.filter((name) => !isLeftOut(name, depth)).map((name) => file.tensors.get(name)!);
  const found = [
    list("missing", lacking.map(described)),
    list("unexpected", unexpected.map(described)),
    list("of another shape", misfits),
  ].filter((part) => part !== "");
  if (found.length > 0) {
    const text = `${path} does not fit an encoder of ${specs.length} parameters: ${found.join("; ")}`;
    if (strict) {
      throw new TypeError(
        `${text}. Name its width, depth and sizes, or go on with what fits and random numbers for the rest with --no-strict`,
      );
    }
    warn(`${text}. What is missing or of another shape is drawn at random`);
  }
  const drawn = initialParameters(specs.filter(({ name }) => !values.has(name)), uniforms);
  return new Map([...values, ...drawn, ...await storedPositions(file, options)]);
}

function described({ name, shape }: { name: string; shape: Shape }): string {
  return `${name} [${shape.join(", ")}]`;
}

function list(what: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "";
  return `${names.length} ${what}: ${names.slice(0, SHOWN).join(", ")}${more}`;
}

async function storedPositions(file: WeightsSource, { grid, specs }: ReadEncoderOptions) {
  const name = POSITION_NAMES.find((name) => file.tensors.has(name));
  if (name === undefined) return [];
  const { shape } = file.tensors.get(name)!;
  const classToken = specs.some(({ name }) => /^(?:encoder\.)?cls_token$/.test(name));
  const stored = await file.readFloats(name), width = shape.at(-1)!;
  if (classToken && isMaes(stored, width, grid)) return [];
  return [[`positions.${width}`, fitPositions(stored, shape, grid, { classToken })]] as const;
}

/** Whether a table holds the sines and cosines of a picture's columns and rows. */
function isMaes(table: Float32Array, width: number, { rows, columns }: TokenGrid): boolean {
  if (width % 4 !== 0 || table.length !== (1 + rows * columns) * width) return false;
  const fixed = gridSinusoid(rows, columns, width);
  return table.every((value, i) => Math.abs(value - fixed[i]!) <= TABLE_ROUNDING);
}
