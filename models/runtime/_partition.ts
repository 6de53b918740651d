/**
 * One program over several devices: what each of them computes of every value.
 *
 * Batch data is shared out by rows, all other inputs are on every device. From there a rule for each operation says along
 * which axis its result is shared out, if at all; a sum over a shared axis, such as the gradient of a weight, is added up
 * over the devices. So a training step becomes data parallel without being written for it, and computes what one device
 * would, up to the order of sums. What has no rule is gathered first, which is slow but right.
 *
 * The idea is GSPMD's (arXiv 2105.04663), for one axis of devices and without choices to search through. XLA's own
 * partitioner is not used, since it cannot share out the kernels that `_onednn.ts` and `_cudnn.ts` call.
 */
import {
  isFloat,
  type Op,
  type OpKind,
  type Program,
  type Shape,
  sizeOf,
  Tensor,
  topologicalOrder,
} from "../tensor/mod.ts";
import type { HloValue, HloWriter } from "./_hlo_writer.ts";
import type { Placement } from "./engine.ts";

/** The axis along which a value is shared out in equal blocks, device by device; null: every device has all of it. */
type Split = number | null;

/** How an operation is shared out. */
interface Choice {
  /** What its operands have to be. */
  readonly inputs: readonly Split[];
  readonly output: Split;
  /** Each device has a part of a sum. @default false */
  readonly sum?: boolean;
}

/** @returns null where there is no way but to gather the operands */
type Rule<K extends OpKind> = (
  tensor: Tensor & { readonly op: Op & { kind: K } },
  splits: readonly Split[],
  devices: number,
) => Choice | null;

/** Element by element: all operands alike. */
function alike(_tensor: Tensor, splits: readonly Split[]): Choice {
  const output = splits.find((split) => split !== null)!;
  return { inputs: splits.map(() => output), output };
}

/** An operation on rows of the last axis. */
function byRows(tensor: Tensor, [split]: readonly Split[]): Choice | null {
  if (split === null || split === tensor.rank - 1) return null;
  return { inputs: tensor.inputs.map((_, i) => i === 0 ? split! : null), output: split! };
}

/** Rows of samples by index lists, sample by sample; or out of one table that all devices have. */
function rowsByIndex(tensor: Tensor, [values, index]: readonly Split[]): Choice | null {
  if (values === 0 || index === 0) return { inputs: [0, 0], output: 0 };
  const table = tensor.op.kind === "gather_rows" && values === null && index === 1;
  return table ? { inputs: [null, 1], output: 1 } : null;
}

const none = () => null;

const RULES: { readonly [K in OpKind]: Rule<K> } = {
  input: none,
  constant: none,
  iota: none,
  random_bits: byRows,

  negate: alike,
  abs: alike,
  exp: alike,
  log: alike,
  sqrt: alike,
  rsqrt: alike,
  tanh: alike,
  erf: alike,
  add: alike,
  subtract: alike,
  multiply: alike,
  divide: alike,
  maximum: alike,
  minimum: alike,
  compare: alike,
  select: alike,
  convert: alike,
  stop_gradient: alike,
  barrier: (_tensor, splits) => ({ inputs: splits, output: splits[0]! }),
  // Its further operands are for gradients only.
  custom_gradient: alike,

  reshape: ({ inputs: [x], shape }, [split], devices) =>
    chosen(split!, movedByReshape(x!.shape, split!, shape, devices)),
  transpose: ({ op }, [split]) => chosen(split!, op.permutation.indexOf(split!)),
  broadcast: ({ op }, [split]) => chosen(split!, op.axes[split!]!),
  concatenate: (tensor, splits) => splits.includes(tensor.op.axis) ? null : alike(tensor, splits),
  slice: (tensor, splits) => splits[0] === tensor.op.axis ? null : alike(tensor, splits),
  pad: (tensor, splits) => splits[0] === tensor.op.axis ? null : alike(tensor, splits),

  sum: ({ op: { axes } }, [split]) =>
    axes.includes(split!) ? { inputs: [split!], output: null, sum: true } : chosen(split!, below(axes, split!)),
  max: ({ op: { axes } }, [split]) => axes.includes(split!) ? null : chosen(split!, below(axes, split!)),

  matmul: ({ op: { transposeA, transposeB }, rank }, [a, b]) => {
    const [last, before] = [rank - 1, rank - 2];
    const [rows, inner] = transposeA ? [last, before] : [before, last];
    const [innerB, columns] = transposeB ? [last, before] : [before, last];
    const leading = [a, b].find((split) => split !== null && split! < before);
    if (leading !== undefined) return { inputs: [leading!, leading!], output: leading! };
    if (a === inner || b === innerB) return { inputs: [inner, innerB], output: null, sum: true };
    return a === rows ? { inputs: [rows, null], output: before } : { inputs: [null, columns], output: last };
  },
  softmax: byRows,
  layer_norm: byRows,
  gather_rows: rowsByIndex,
  scatter_rows: rowsByIndex,
};

function chosen(input: number, output: Split): Choice | null {
  return output === null ? null : { inputs: [input], output };
}

/** Where an axis is after a sum or maximum over others. */
function below(axes: readonly number[], split: number): number {
  return split - axes.filter((axis) => axis < split).length;
}

/** The axis of `to` whose blocks are those of an axis of `from`, in row-major order. */
function movedByReshape(from: Shape, axis: number, to: Shape, devices: number): Split {
  const before = sizeOf(from.slice(0, axis));
  const found = to.findIndex((size, i) => sizeOf(to.slice(0, i)) === before && size % devices === 0);
  return found < 0 ? null : found;
}

/** How every value of a program is shared out. */
export function planPartition(program: Program, devices: number): ReadonlyMap<Tensor, Choice> {
  const plan = new Map<Tensor, Choice>();
  for (const { name, tensor } of program.inputs) {
    const shared = devices > 1 && program.batch.has(name);
    if (shared) blockShape(tensor.shape, 0, devices);
    plan.set(tensor, { inputs: [], output: shared ? 0 : null });
  }
  for (const tensor of topologicalOrder(program.outputs.map((output) => output.tensor))) {
    if (plan.has(tensor)) continue;
    const splits = valuesOf(tensor).map((input) => plan.get(input)!.output);
    const rule = RULES[tensor.op.kind] as Rule<OpKind>;
    const whole = { inputs: splits.map(() => null), output: null };
    const all = splits.every((split) => split === null);
    plan.set(tensor, (all ? null : rule(tensor as never, splits, devices)) ?? whole);
  }
  return plan;
}

/** What an operation computes with. */
function valuesOf({ op, inputs }: Tensor): readonly Tensor[] {
  return op.kind === "custom_gradient" ? inputs.slice(0, 1) : inputs;
}

/** Where the outputs of a program lie: those that keep the rows of the batch are shared out, others are on every device. */
export function outputPlacements(program: Program, devices: number): Placement[] {
  if (devices === 1) return program.outputs.map(() => "copies");
  const plan = planPartition(program, devices);
  return program.outputs.map(({ tensor }) => plan.get(tensor)!.output === 0 ? "rows" : "copies");
}

/**
 * The shape of one device's block.
 *
 * @throws {RangeError} if the axis cannot be shared out evenly
 */
export function blockShape(shape: Shape, axis: number, devices: number): Shape {
  const size = shape[axis];
  if (size === undefined || size % devices !== 0) {
    const what = size === undefined ? "A scalar" : `A batch of ${size}`;
    throw new RangeError(`${what} cannot be shared out evenly over ${devices} devices: take a multiple of ${devices}`);
  }
  return shape.map((size, i) => i === axis ? size / devices : size);
}

/** Writes an operation with operands and result of one device's shapes. */
export type LowerLocal = (local: Tensor, inputs: readonly HloValue[]) => HloValue;

/** The values of one device while its program is written. A value is written in the forms that are asked for. */
export class LocalValues {
  readonly #forms = new Map<Tensor, Map<Split, HloValue>>();

  constructor(
    private readonly writer: HloWriter,
    private readonly devices: number,
    private readonly plan: ReadonlyMap<Tensor, Choice>,
    private readonly lower: LowerLocal,
  ) {}

  /** How a value is shared out. */
  splitOf(tensor: Tensor): Split {
    return this.plan.get(tensor)!.output;
  }

  /** The shape that one device has of a value. */
  localShape(tensor: Tensor): Shape {
    const split = this.splitOf(tensor);
    return split === null ? tensor.shape : blockShape(tensor.shape, split, this.devices);
  }

  set(tensor: Tensor, value: HloValue): void {
    this.#keep(tensor, this.splitOf(tensor), value);
  }

  /** Writes an operation, its operands being there. What costs nothing to make again waits until it is asked for. */
  add(tensor: Tensor): void {
    const { inputs, output, sum } = this.plan.get(tensor)!;
    if (this.devices > 1 && output === null && !sum && isFree(tensor, (input) => this.splitOf(input) === null)) return;
    const dtype = sum && isFloat(tensor.dtype) ? "f32" : tensor.dtype;
    const local = new Tensor(tensor.op, tensor.inputs, this.localShape(tensor), dtype);
    const value = this.lower(local, valuesOf(tensor).map((input, i) => this.get(input, inputs[i]!)));
    this.set(tensor, sum ? this.writer.convert(this.writer.allReduce(value, this.devices), tensor.dtype) : value);
  }

  /** A value shared out along an axis, or all of it. */
  get(tensor: Tensor, split: Split): HloValue {
    const form = this.#forms.get(tensor)?.get(split);
    if (form !== undefined) return form;
    const own = this.splitOf(tensor);
    if (own === null) return this.#keep(tensor, split, this.#fromWhole(tensor, split));
    const whole = this.#forms.get(tensor)!.get(null) ??
      this.#keep(tensor, null, this.writer.allGather(this.get(tensor, own), own, this.devices));
    return split === null ? whole : this.#keep(tensor, split, this.writer.ownBlock(whole, split, this.devices));
  }

  #keep(tensor: Tensor, split: Split, value: HloValue): HloValue {
    const forms = this.#forms.get(tensor) ?? new Map<Split, HloValue>();
    this.#forms.set(tensor, forms.set(split, value));
    return value;
  }

  /** A form of a value that every device has, or can make. */
  #fromWhole(tensor: Tensor, split: Split): HloValue {
    const operands = valuesOf(tensor);
    const make = (wanted: readonly Split[]) => {
      const shape = split === null ? tensor.shape : blockShape(tensor.shape, split, this.devices);
      const local = new Tensor(tensor.op, tensor.inputs, shape, tensor.dtype);
      return this.lower(local, operands.map((input, i) => this.get(input, wanted[i]!)));
    };
    if (split === null) return make(operands.map(() => null));
    const { op } = tensor;
    if (op.kind === "constant" || (op.kind === "iota" && op.axis !== split)) return make([]);
    if (op.kind === "broadcast") {
      const source = op.axes.indexOf(split);
      return make([source < 0 || operands[0]!.shape[source] === 1 ? null : source]);
    }
    if (op.kind === "reshape") {
      const source = movedByReshape(tensor.shape, split, operands[0]!.shape, this.devices);
      if (source !== null) return make([source]);
    }
    if (RULES[op.kind] === alike) return make(operands.map(() => split));
    return this.writer.ownBlock(this.get(tensor, null), split, this.devices);
  }
}

/** Whether a value that every device has costs nothing to make. */
function isFree({ op, inputs }: Tensor, onAll: (input: Tensor) => boolean): boolean {
  return op.kind === "constant" || op.kind === "iota" ||
    ((op.kind === "broadcast" || op.kind === "reshape") && onAll(inputs[0]!));
}
