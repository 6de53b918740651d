/**
 * The tensor layer: a program is traced as a graph of symbolic tensors, differentiated as a graph, and handed to an engine
 * (`models/runtime`) as a graph. Nothing here holds numbers. To be read in this order:
 *
 * 1. `tensor.ts`: what a symbolic tensor is, and every kind of operation.
 * 2. `ops.ts`: the operations as functions that check shapes and types; `random.ts`: randomness.
 * 3. `gradients.ts`: reverse-mode differentiation, one rule for each kind of operation.
 * 4. `remat.ts`: values that are computed again instead of kept.
 * 5. `program.ts`: a graph with named inputs and outputs, which engines compile.
 * 6. `cost.ts`: arithmetic and memory of a program, from shapes alone; `finite.ts`: where numbers stop being finite.
 *
 * **Precision.** One policy holds for all training, whatever the network (`tests/models/precision_test.ts` keeps it):
 *
 * - Parameters, AdamW's moments, gradients of parameters and the update are f32: the master weights. A frozen network may
 *   keep its matrices in bf16.
 * - Operands of matrix products are in the compute type, f32 or bf16; a weight is converted where it is used. Products are
 *   summed in f32, and what is summed further (gradients of weights, residual stream, attention scores, logits) leaves
 *   the product as f32.
 * - Sums, softmax, layer norm, square roots, exponentials and losses are computed in f32, whatever the type of their
 *   operands.
 * - Between products, activations and their gradients are in the compute type. Where an activation enters several products
 *   (queries, keys and values), their gradients, three at most, are added in it, as by PyTorch's autocast.
 * - There is no loss scaling: bf16 has the exponents of f32.
 *
 * Every operation is checked in three ways: results by hand and derivatives against differences, both on the reference
 * engine in float64, and every engine against that one (`tests/models/tensor/_cases.ts`).
 */
export * from "./tensor.ts";
export * from "./ops.ts";
export { randomBits, type RandomOptions, uniform } from "./random.ts";
export { gradients } from "./gradients.ts";
export { remat } from "./remat.ts";
export { type Named, type Program, program, type ProgramOptions } from "./program.ts";
export { describeTensor, type FiniteWatch, finiteWatch } from "./finite.ts";
export { matmulFlop, tensorBytes, workingBytes } from "./cost.ts";
