/**
 * Fused attention on CUDA: where a program computes softmax(Q K^T) V and its gradients, cuDNN's flash attention takes their
 * place, and scores and probabilities are never stored. Only for bf16 and head sizes that cuDNN takes on every GPU since
 * Ampere. Checked on the program's text; no GPU has run it here yet.
 *
 * The programs say matrix products and softmax (`attention.ts`), which every engine understands; here their pattern is
 * recognised: P = softmax(Q K^T), O = P V, dV = P^T G, dS = P * (G V^T - rowsum(O * G)), dQ = dS K, dK = dS^T Q. The call's
 * attributes are those that JAX writes (`jax/_src/cudnn/fused_attention_stablehlo.py`).
 */
import type { Op, OpKind, Program, Tensor } from "../tensor/mod.ts";
import { topologicalOrder } from "../tensor/mod.ts";
import { hloNames, hloType, type HloValue, type HloWriter } from "./_hlo_writer.ts";

/** Head sizes are multiples of the one and at most the other. */
const HEAD = { multiple: 8, largest: 128 };

/** One attention of a program: `[B, H, M, d]` queries, `[B, H, N, d]` keys and values. */
export interface Attention {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  /** `[B, H, M, d]`. */
  readonly output: Tensor;
  /** Gradient of the output, with the gradients that follow from it; undefined where nothing is trained. */
  readonly backward?: Backward;
}

interface Backward {
  readonly gradient: Tensor;
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/** The attentions of a program of which nothing else than output and gradients is needed. */
export function findAttentions({ outputs }: Program): Attention[] {
  const order = topologicalOrder(outputs.map(({ tensor }) => tensor));
  const users = new Map<Tensor, Tensor[]>();
  for (const tensor of order) {
    // The further operands of a custom gradient are not computed with.
    const read = tensor.op.kind === "custom_gradient" ? tensor.inputs.slice(0, 1) : tensor.inputs;
    for (const input of new Set(read)) users.set(input, [...users.get(input) ?? [], tensor]);
  }
  const given = new Set(outputs.map(({ tensor }) => tensor));
  return order.flatMap((tensor) => {
    const found = attentionOf(tensor, (of) => users.get(of) ?? [], given);
    return found ? [found] : [];
  });
}

/** The attention whose probabilities a tensor is. */
function attentionOf(
  probabilities: Tensor,
  usersOf: (tensor: Tensor) => readonly Tensor[],
  given: ReadonlySet<Tensor>,
): Attention | undefined {
  const scores = probabilities.inputs[0];
  if (!is(probabilities, "softmax") || probabilities.dtype !== "bf16" || given.has(probabilities)) return undefined;
  if (!scores || !is(scores, "matmul") || scores.rank !== 4 || scores.op.transposeA || !scores.op.transposeB) return;
  const [query, key] = scores.inputs as [Tensor, Tensor];
  const size = query.shape[3]!;
  const alone = usersOf(scores).length === 1 && !given.has(scores);
  if (!alone || query.dtype !== "bf16" || size % HEAD.multiple !== 0 || size > HEAD.largest) return undefined;
  const rest = new Set(usersOf(probabilities));
  const take = (fits: (user: Tensor) => boolean) => {
    const found = [...rest].find(fits);
    if (found) rest.delete(found);
    return found;
  };
  const product = (user: Tensor, transposeA: boolean) =>
    is(user, "matmul") && user.dtype === "bf16" && user.inputs[0] === probabilities && !user.op.transposeB &&
    user.op.transposeA === transposeA;
  const output = take((user) => product(user, false));
  const value = output?.inputs[1];
  if (!output || !value || value.shape[3] !== size) return undefined;
  if (rest.size === 0) return { query, key, value, output };
  const valueGradient = take((user) => product(user, true));
  const wide = take((user) => is(user, "convert") && user.dtype === "f32");
  const gradient = valueGradient?.inputs[1];
  if (!valueGradient || !wide || !gradient || rest.size > 0) return undefined;
  const through = scoreGradient(wide, { gradient, value, output }, usersOf);
  if (!through) return undefined;
  const [a, b] = usersOf(through);
  const of = (transposed: boolean, operand: Tensor) =>
    [a, b].find((user) =>
      user && is(user, "matmul") && user.dtype === "bf16" && user.op.transposeA === transposed && !user.op.transposeB &&
      user.inputs[0] === through && user.inputs[1] === operand
    );
  const [queryGradient, keyGradient] = [of(false, key), of(true, query)];
  if (!queryGradient || !keyGradient || usersOf(through).length !== 2) return undefined;
  const backward = { gradient, query: queryGradient, key: keyGradient, value: valueGradient };
  return { query, key, value, output, backward };
}

/** bf16 of P * (G V^T - rowsum(O * G)), if that is what the f32 probabilities are used for. */
function scoreGradient(
  wide: Tensor,
  { gradient, value, output }: { gradient: Tensor; value: Tensor; output: Tensor },
  usersOf: (tensor: Tensor) => readonly Tensor[],
): Tensor | undefined {
  const product = only(usersOf(wide));
  const scores = product && is(product, "multiply") ? only(usersOf(product)) : undefined;
  const difference = product?.inputs.find((input) => is(input, "subtract"));
  if (!product || !scores || !difference || !is(scores, "convert") || scores.dtype !== "bf16") return undefined;
  const [left, right] = difference.inputs as [Tensor, Tensor];
  const [through, sums] = [plain(left), right.op.kind === "broadcast" ? plain(right.inputs[0]!) : undefined];
  const fits = is(through, "matmul") && !through.op.transposeA && through.op.transposeB &&
    through.inputs[0] === gradient && through.inputs[1] === value;
  const squares = sums && is(sums, "sum") ? plain(sums.inputs[0]!) : undefined;
  if (!fits || !squares || !is(squares, "multiply")) return undefined;
  const factors = new Set(squares.inputs.map(plain));
  return factors.has(output) && factors.has(plain(gradient)) && factors.size === 2 ? scores : undefined;
}

/** What a tensor shows through changes of shape, order and type. */
function plain(tensor: Tensor): Tensor {
  let shown = tensor;
  while (["reshape", "transpose", "convert", "custom_gradient"].includes(shown.op.kind)) {
    shown = shown.inputs[0]!;
  }
  return shown;
}

function only(tensors: readonly Tensor[]): Tensor | undefined {
  return tensors.length === 1 ? tensors[0] : undefined;
}

function is<K extends OpKind>(tensor: Tensor, kind: K): tensor is Tensor & { readonly op: Op & { kind: K } } {
  return tensor.op.kind === kind;
}

/** Writes the attentions of a program as calls while the program is written. */
export class FusedAttentions {
  readonly #owners = new Map<Tensor, Attention>();
  readonly #outputs = new Map<Attention, FusedOutput>();
  readonly #gradients = new Map<Attention, readonly HloValue[]>();

  constructor(attentions: readonly Attention[]) {
    for (const attention of attentions) {
      for (const tensor of [attention.output, ...gradientsOf(attention)]) this.#owners.set(tensor, attention);
    }
  }

  /** What a tensor is computed from: the operands of its call, if it is a result of one. */
  inputsOf(tensor: Tensor): readonly Tensor[] {
    const owner = this.#owners.get(tensor);
    if (owner === undefined) return tensor.inputs;
    const { query, key, value, output, backward } = owner;
    return tensor === output ? [query, key, value] : [query, key, value, backward!.gradient, output];
  }

  /** Writes a result of a call, if the tensor is one; its operands must be there. */
  lower(writer: HloWriter, tensor: Tensor, get: (operand: Tensor) => HloValue): HloValue | undefined {
    const owner = this.#owners.get(tensor);
    if (owner === undefined) return undefined;
    const [query, key, value] = [get(owner.query), get(owner.key), get(owner.value)];
    if (tensor === owner.output) {
      const made = cudnnForward(writer, [query, key, value], owner.backward !== undefined);
      this.#outputs.set(owner, made);
      return made.output;
    }
    const made = this.#gradients.get(owner) ??
      cudnnBackward(writer, [query, key, value, get(owner.backward!.gradient)], this.#outputs.get(owner)!);
    this.#gradients.set(owner, made);
    return made[gradientsOf(owner).indexOf(tensor)]!;
  }
}

/** Gradients of query, key and value. */
function gradientsOf({ backward }: Attention): readonly Tensor[] {
  return backward ? [backward.query, backward.key, backward.value] : [];
}

// ------------------------------------------------------------------------------------------------------ calls

/** Results of the forward call. */
export interface FusedOutput {
  readonly output: HloValue;
  /** f32 `[B, H, M]`; undefined where no gradient is wanted. */
  readonly statistics?: HloValue;
}

/** Writes the forward call on values `[B, H, ., d]`. */
export function cudnnForward(
  writer: HloWriter,
  [query, key, value]: readonly [HloValue, HloValue, HloValue],
  training: boolean,
): FusedOutput {
  const [batch, heads, asking] = query.shape as [number, number, number];
  const results = [query, ...(training ? [{ shape: [batch, heads, asking], dtype: "f32" as const }] : [])];
  const products = {
    bmm1_dot_dimension_numbers: dimensions(3, 3, [0, 2]),
    bmm2_dot_dimension_numbers: dimensions(3, 1, [0, 1]),
  };
  const operands = [query, key, value].map((x) => sideBySide(writer, x));
  const [output, statistics] = call(writer, "__cudnn$fmhaSoftmax", operands, results, config(query, key, products));
  return { output: output!, ...(statistics && { statistics }) };
}

/** Writes the backward call; the gradients of query, key and value, `[B, H, ., d]`. */
export function cudnnBackward(
  writer: HloWriter,
  [query, key, value, gradient]: readonly [HloValue, HloValue, HloValue, HloValue],
  { output, statistics }: FusedOutput,
): HloValue[] {
  const products = {
    bmm1_grad_gemm1_dot_dimension_numbers: dimensions(2, 1, [0, 1]),
    bmm1_grad_gemm2_dot_dimension_numbers: dimensions(3, 1, [0, 1]),
    bmm2_grad_gemm1_dot_dimension_numbers: dimensions(2, 1, [0, 1]),
    bmm2_grad_gemm2_dot_dimension_numbers: dimensions(3, 3, [0, 2]),
  };
  const [q, k, v, g, o] = [query, key, value, gradient, output].map((x) => sideBySide(writer, x));
  const operands = [q!, k!, v!, statistics!, g!, o!];
  return call(writer, "__cudnn$fmhaSoftmaxBackward", operands, [query, key, value], config(query, key, products));
}

/** `[B, N, H, d]`, as the call takes its operands. Programs have heads split off by the reverse, so XLA drops both. */
function sideBySide(writer: HloWriter, x: HloValue): HloValue {
  const [batch, heads, tokens, size] = x.shape as [number, number, number, number];
  const text = `stablehlo.transpose ${x.name}, dims = [0, 2, 1, 3]`;
  return writer.typed(text, [x], [batch, tokens, heads, size], x.dtype);
}

/** A custom call with the workspace as its last result. Results of rank 4 lie in memory as `[B, N, H, d]`. */
function call(
  writer: HloWriter,
  target: string,
  operands: readonly HloValue[],
  results: readonly Pick<HloValue, "shape" | "dtype">[],
  configuration: unknown,
): HloValue[] {
  const layout = (order: string, rank: number) => `dense<${order}> : tensor<${rank}xindex>`;
  const of = (rank: number, four: string) => layout(rank === 4 ? four : "[2, 1, 0]", rank);
  const operandLayouts = operands.map(({ shape }) => of(shape.length, "[3, 2, 1, 0]")).join(", ");
  const resultLayouts = [...results.map(({ shape }) => of(shape.length, "[3, 1, 2, 0]")), layout("0", 1)].join(", ");
  const attributes = `{api_version = 2 : i32, backend_config = ${JSON.stringify(JSON.stringify(configuration))}, ` +
    `operand_layouts = [${operandLayouts}], result_layouts = [${resultLayouts}]}`;
  const types = [...results.map(hloType), "tensor<0xui8>"].join(", ");
  const head = `stablehlo.custom_call @${target}(${hloNames(operands)})`;
  const name = writer.several(
    `${head} ${attributes} : (${operands.map(hloType).join(", ")}) -> (${types})`,
    results.length + 1,
  );
  return results.map(({ shape, dtype }, i) => ({ name: `${name}#${i}`, shape, dtype }));
}

/** Numbers of the axes of one product of two operands; all have their leading two axes in common. */
function dimensions(left: number, right: number, batch: readonly [number, number]) {
  return {
    lhs_contracting_dimensions: [String(left)],
    rhs_contracting_dimensions: [String(right)],
    lhs_batch_dimensions: batch.map(String),
    rhs_batch_dimensions: ["0", "2"],
  };
}

/**
 * What a call is configured by: JSON of XLA's protocol buffer, in which whole numbers are strings. The factor on the scores
 * is 1, since queries carry 1 / sqrt(d) already.
 */
function config(query: HloValue, key: HloValue, products: Readonly<Record<string, unknown>>) {
  const [batch, heads, asking] = query.shape as [number, number, number];
  return {
    operation_queue_id: "0",
    cudnn_fmha_backend_config: {
      algorithm: {
        algo_id: "0",
        math_type: "TENSOR_OP_MATH",
        tuning_knobs: { "17": "1", "24": "0" },
        is_cudnn_frontend: true,
        workspace_size: "0",
      },
      fmha_scale: 1,
      intermediate_tensor_shape: {
        element_type: "BF16",
        dimensions: [batch, heads, asking, key.shape[2]!].map(String),
        tuple_shapes: [],
        layout: {
          dim_level_types: [],
          dim_unique: [],
          dim_ordered: [],
          minor_to_major: ["3", "2", "1", "0"],
          tiles: [],
          element_size_in_bits: "0",
          memory_space: "0",
          index_primitive_type: "PRIMITIVE_TYPE_INVALID",
          pointer_primitive_type: "PRIMITIVE_TYPE_INVALID",
          dynamic_shape_metadata_prefix_bytes: "0",
        },
        is_dynamic_dimension: [false, false, false, false],
      },
      is_flash_attention: true,
      mask_type: "NO_MASK",
      ...products,
      dropout_rate: 0,
      seed: 42,
      sliding_window_length: 0,
      max_seg_per_batch: 1,
      is_paged_attention: false,
    },
  };
}
