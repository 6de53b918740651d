/**
 * Weights in several files beside a list of which tensor lies in which, as the Hugging Face hub splits large ones:
 * `model.safetensors.index.json` or `pytorch_model.bin.index.json`. The list comes from outside: its files must lie beside
 * it and have what it says.
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { findTensor, isRecord, type StoredTensor, type WeightsSource } from "./_stored.ts";

/** Most bytes of the list, and most files. */
const MAX_INDEX_BYTES = 1 << 23, MAX_FILES = 1000;

/** Several open files as one. Dispose of it to close them. */
export class ShardedWeights implements WeightsSource {
  private constructor(
    readonly path: string,
    readonly files: readonly string[],
    readonly tensors: ReadonlyMap<string, StoredTensor & { readonly shard: WeightsSource }>,
    private readonly opened: AsyncDisposableStack,
  ) {}

  /**
   * Opens the files of a list.
   *
   * @param openFile Opens one of them.
   * @throws {SyntaxError} if the list cannot be read, names a file elsewhere, or a tensor that its file lacks
   */
  static async open(path: string, openFile: (path: string) => Promise<WeightsSource>): Promise<ShardedWeights> {
    const index = await readIndex(path);
    await using opening = new AsyncDisposableStack();
    const shards = new Map<string, WeightsSource>();
    for (const file of new Set(index.values())) {
      shards.set(file, opening.use(await openFile(join(dirname(path), file))));
    }
    const tensors = new Map([...index].map(([name, file]) => {
      const shard = shards.get(file)!, tensor = shard.tensors.get(name);
      if (tensor === undefined) throw broken(path, `${file} has no tensor ${name}`);
      return [name, { ...tensor, shard }];
    }));
    return new ShardedWeights(
      path,
      [path, ...Array.from(shards.values(), ({ path }) => path)],
      tensors,
      opening.move(),
    );
  }

  async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    return await findTensor(this.tensors, name, this.path).shard.readBytes(name);
  }

  async readFloats(name: string): Promise<Float32Array<ArrayBuffer>> {
    return await findTensor(this.tensors, name, this.path).shard.readFloats(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.opened.disposeAsync();
  }
}

/** Tensor names with the files they lie in. */
async function readIndex(path: string): Promise<Map<string, string>> {
  const { size } = await stat(path);
  if (size > MAX_INDEX_BYTES) throw broken(path, `it has ${size} bytes`);
  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, "utf8"));
  } catch {
    throw broken(path, "it is not JSON");
  }
  const map = isRecord(content) ? content["weight_map"] : undefined;
  if (!isRecord(map)) throw broken(path, 'it has no object "weight_map"');
  const index = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== "string" || !/^[^/\\:\0]+$/.test(file) || /^\.\.?$/.test(file)) {
      throw broken(path, `it names ${JSON.stringify(file)} for ${name}, which is no file beside it`);
    }
    index.set(name, file);
  }
  const files = new Set(index.values()).size;
  if (files === 0 || files > MAX_FILES) throw broken(path, `it names ${files} files`);
  return index;
}

function broken(path: string, reason: string): SyntaxError {
  return new SyntaxError(`${path} is no list of weight files: ${reason}. Fetch or export it again`);
}
