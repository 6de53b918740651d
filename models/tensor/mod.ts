/** The tensor layer: symbolic tensors, operations, gradients, programs. */
export * from "./tensor.ts";
export * from "./ops.ts";
export { gradients } from "./gradients.ts";
export { remat } from "./remat.ts";
export { type Named, type Program, program, type ProgramOptions } from "./program.ts";
export { matmulFlop, tensorBytes, workingBytes } from "./cost.ts";
