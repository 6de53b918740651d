/**
 * Opens weights, whatever wrote them: safetensors, PyTorch's `.pth` and `.bin`, or the list of a checkpoint in several files.
 * The content decides, not the name.
 */
import { open } from "node:fs/promises";
import { ShardedWeights } from "./_sharded.ts";
import type { WeightsSource } from "./_stored.ts";
import { isLegacyStart, isZipStart, PthFile } from "./pth.ts";
import { SafetensorsFile } from "./safetensors.ts";

export type { WeightsSource };

/**
 * Opens weights and checks all that can be told without reading their numbers.
 *
 * @param path A `.safetensors`, `.pth` or `.bin` file, or a `.index.json` with its files beside it.
 * @throws {SyntaxError} if the file is damaged or none of these
 * @throws {TypeError} if a `.pth` asks for a Python object that weights do not need
 */
export async function openWeights(path: string): Promise<WeightsSource> {
  const start = await firstBytes(path);
  // A safetensors file may begin with this byte too, but no header is so long that the eighth is not 0.
  const isJson = start[0] === 0x7b && start[7] !== 0;
  return isJson ? await ShardedWeights.open(path, openOne) : await openOne(path, start);
}

async function openOne(path: string, start?: Uint8Array): Promise<WeightsSource> {
  start ??= await firstBytes(path);
  if (isZipStart(start) || isLegacyStart(start)) return await PthFile.open(path);
  if (start.length > 8 && start[8] !== 0x7b) {
    throw new SyntaxError(`${path} is neither a safetensors file nor one of torch.save: name a file of weights`);
  }
  return await SafetensorsFile.open(path);
}

async function firstBytes(path: string): Promise<Uint8Array> {
  await using handle = await open(path, "r");
  const { buffer, bytesRead } = await handle.read(new Uint8Array(16), 0, 16, 0);
  return buffer.subarray(0, bytesRead);
}
