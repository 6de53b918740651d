/** Reads the golden reference files (JSON and safetensors) for the decoder tests. */

/** Folder of the golden files: GOLDEN_DIR, else the copy in the repository. */
const GOLDEN = Deno.env.get("GOLDEN_DIR") ?? `${import.meta.dirname}/../fixtures/golden`;

export function goldenPath(name: string): string {
  return `${GOLDEN}/${name}`;
}

/** The parsed JSON of one case; the caller states its shape. */
export async function goldenJson<T>(name: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(goldenPath(name))) as T;
}

export interface GoldenTensor {
  shape: number[];
  data: Uint8Array | Float32Array;
}

/** All tensors of a safetensors file with U8 and F32 entries. */
export async function goldenTensors(name: string): Promise<Map<string, GoldenTensor>> {
  const bytes = await Deno.readFile(goldenPath(name));
  const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, GoldenTensor>();
  for (const [key, entry] of Object.entries(header)) {
    if (key === "__metadata__") continue;
    const [from, to] = entry.data_offsets;
    const copy = bytes.slice(8 + headerBytes + from, 8 + headerBytes + to);
    tensors.set(key, {
      shape: entry.shape,
      data: entry.dtype === "F32" ? new Float32Array(copy.buffer) : copy,
    });
  }
  return tensors;
}
