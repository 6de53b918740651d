/**
 * Parameters: declared while a network is traced, so that names, shapes, first values and weight decay stand in one place,
 * next to the mathematics that uses them.
 *
 * Names are those of the official checkpoints with two differences: query, key and value are separate matrices
 * (`attn.q.weight`, `attn.k.weight`, `attn.v.weight`, `attn.q.bias`, `attn.v.bias`), and `patch_embed.proj.weight` is a
 * matrix over cubes. `checkpoints/official_names.ts` translates. Matrices are `[outputs, inputs]`.
 */
import { constantly, drawValues, type Initializer, type MatrixInitializer, xavier } from "./initializers.ts";
import { floatToBfloat } from "./runtime/_half.ts";
import type { HostArray } from "./runtime/engine.ts";
import { type DType, input, sameShape, type Shape, type Tensor } from "./tensor/mod.ts";

/** A parameter as the training loop knows it. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Element type on the device: f32, or bf16 for the matrices of a frozen network that computes in bf16. */
  readonly dtype: DType;
  readonly init: Initializer;
  /** Whether weight decay applies. */
  readonly decay: boolean;
}

/** Options of {@linkcode Parameters}. */
export interface ParametersOptions {
  /** First part of the input names: `ROLE/NAME`. @default "parameter" */
  role?: string;
  /** First values of matrices. @default xavier */
  matrices?: MatrixInitializer;
  /** Element type of matrices. @default "f32" */
  matrixType?: DType;
}

/** Options of {@linkcode Parameters.matrix}. */
export interface MatrixOptions {
  /** Outputs that the first values are sized for, where the official code draws several matrices as one. @default outputs */
  fan?: number;
  /** First values of this matrix alone. @default as all matrices */
  init?: Initializer;
}

/** The parameters of a network being traced. Asking twice for one name gives the same tensor. */
export class Parameters {
  readonly #options: Required<ParametersOptions>;
  readonly #prefix: string;
  readonly #declared: Map<string, { spec: ParameterSpec; tensor: Tensor }>;

  constructor(options: ParametersOptions = {}, parent?: Parameters, prefix = "") {
    this.#options = parent ? parent.#options : { role: "parameter", matrices: xavier, matrixType: "f32", ...options };
    this.#declared = parent ? parent.#declared : new Map();
    this.#prefix = prefix;
  }

  /** Everything declared so far, in order, whatever the scope. */
  get specs(): readonly ParameterSpec[] {
    return Array.from(this.#declared.values(), ({ spec }) => spec);
  }

  /** The inputs that stand for them, in the order of {@linkcode specs}. */
  get tensors(): readonly Tensor[] {
    return Array.from(this.#declared.values(), ({ tensor }) => tensor);
  }

  /** The same set of parameters seen from inside `name`: `scope("blocks.0").get("norm1.weight", ...)`. */
  scope(name: string): Parameters {
    return new Parameters({}, this, `${this.#prefix}${name}.`);
  }

  /** A parameter with first values of its own kind. */
  get(name: string, shape: Shape, init: Initializer, dtype: DType = "f32"): Tensor {
    const full = this.#prefix + name;
    const known = this.#declared.get(full);
    if (known !== undefined) {
      if (!sameShape(known.spec.shape, shape)) {
        throw new RangeError(
          `Parameter ${full} is declared as [${known.spec.shape.join(", ")}] and as [${shape.join(", ")}]`,
        );
      }
      return known.tensor;
    }
    const tensor = input(`${this.#options.role}/${full}`, shape, dtype);
    this.#declared.set(full, { spec: { name: full, shape, dtype, init, decay: decays(full, shape) }, tensor });
    return tensor;
  }

  /** A matrix `[outputs, inputs]`. */
  matrix(name: string, outputs: number, inputs: number, { fan = outputs, init }: MatrixOptions = {}): Tensor {
    const { matrices, matrixType } = this.#options;
    return this.get(name, [outputs, inputs], init ?? matrices(fan, inputs), matrixType);
  }

  /** A vector that begins with `value` everywhere. */
  vector(name: string, size: number, value = 0): Tensor {
    return this.get(name, [size], constantly(value));
  }
}

/**
 * Whether weight decay applies, by the official rule: not to vectors, nor to names ending in `.bias`, nor to tokens and
 * position tables. The generators' mask tokens, which the official code forgets to register, count as tokens, and MAE's
 * class and mask token too, which its fine-tuning spares and its pre-training does not.
 */
export function decays(name: string, shape: Shape): boolean {
  return shape.length > 1 && !name.endsWith(".bias") &&
    !/^(?:mask_token|(?:encoder\.)?cls_token|pos_embed|generator_mask_tokens\.\d+)$/.test(name);
}

/**
 * First values of parameters, f32.
 *
 * @param uniforms gives `count` numbers in [0, 1) for the parameter `name`, always the same ones
 * @returns values by name
 *
 * @example
 * ```ts
 * import { initialParameters, Parameters } from "./parameters.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const parameters = new Parameters();
 * parameters.vector("norm.weight", 2, 1);
 * assertEquals(initialParameters(parameters.specs, () => []).get("norm.weight"), Float32Array.of(1, 1));
 * ```
 */
export function initialParameters(
  specs: readonly ParameterSpec[],
  uniforms: (count: number, name: string) => ArrayLike<number>,
): Map<string, Float32Array<ArrayBuffer>> {
  return new Map(specs.map(({ name, shape, init }) => [name, drawValues(init, shape, (n) => uniforms(n, name))]));
}

/** Values as the parameter's device type stores them: f32 as they are, bf16 as bits rounded to nearest even. */
export function hostParameter({ name, dtype }: ParameterSpec, values: Float32Array): HostArray {
  if (dtype === "f32") return values;
  if (dtype === "bf16") return floatToBfloat(values);
  throw new TypeError(`Parameter ${name} is ${dtype}; parameters are f32 or bf16`);
}
