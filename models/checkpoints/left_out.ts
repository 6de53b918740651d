/** Which tensors of a checkpoint an encoder does without on purpose: everything else that it does not take is unexpected. */

/** Parts of published networks beside patch embedding and blocks, without the prefixes of the encoder. */
const OTHER_PARTS = [
  // The pixel decoder: official, hub, MAE, MAE on the hub.
  /^(?:decoder|decoder_\w+)\./,
  /^encoder_to_decoder\./,
  /^(?:mask_token|decoder_pos_embed)$/,
  // Norms and heads at the end.
  /^(?:norm|fc_norm|layernorm|head|classifier)\./,
  // AMD's own.
  /^(?:generators|projection_heads|generator_mask_tokens)\./,
  // Keys' biases change nothing in a softmax.
  /attention\.key\.bias$|attn\.k\.bias$/,
  // Stored position tables are read by themselves.
  /^pos_embed$/,
  /^embeddings\.position_embeddings$/,
];

/**
 * Whether an encoder of `depth` blocks leaves a tensor out on purpose: that of a decoder, a head, the last norm, or of one
 * of its own blocks behind the last that is wanted. Blocks beyond its depth are not: the file is of a deeper network.
 *
 * @param name Official or of the hub, with whatever prefix.
 *
 * @example
 * ```ts
 * import { isLeftOut } from "./left_out.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const names = ["decoder.norm.bias", "encoder.blocks.11.norm1.bias", "encoder.blocks.12.norm1.bias", "cls_token"];
 * assertEquals(names.map((name) => isLeftOut(name, 12)), [true, true, false, false]);
 * ```
 */
export function isLeftOut(name: string, depth: number): boolean {
  const hub = name.replace(/^(?:module\.)?(?:videomae|vit)\./, "");
  const core = hub.replace(/^(?:module\.)?(?:encoder\.|backbone\.)?/, "");
  const block = /^(?:blocks|layer)\.(\d+)\./.exec(core)?.[1];
  if (block !== undefined) return Number(block) < depth;
  return OTHER_PARTS.some((part) => part.test(core));
}
