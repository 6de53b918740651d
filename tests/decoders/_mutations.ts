/** Files that were good clips before something happened to them; each a pure function of its number. */
import { uniforms } from "../../pipeline/random.ts";

export interface Mutation {
  name: string;
  /** Puts the broken file at a path. */
  write(path: string): Promise<void> | void;
}

type Draw = () => number;

/** What happens to the bytes of a clip. `at` gives a whole number below its argument. */
const KINDS: Record<string, (bytes: Uint8Array, at: (limit: number) => number) => Uint8Array> = {
  cut: (bytes, at) => bytes.subarray(0, at(bytes.length)),
  "cut-head": (bytes, at) => bytes.subarray(1 + at(bytes.length - 1)),
  "cut-in-header": (bytes, at) => bytes.subarray(0, at(Math.min(bytes.length, 1024))),
  "flip-one": (bytes, at) => flip(bytes, 1, at),
  "flip-few": (bytes, at) => flip(bytes, 2 + at(12), at),
  "flip-many": (bytes, at) => flip(bytes, 100 + at(400), at),
  "flip-header": (bytes, at) => flip(bytes, 1 + at(4), at, 700),
  "flip-tail": (bytes, at) => {
    const tail = bytes.subarray(Math.max(0, bytes.length - 900));
    flip(tail, 1 + at(4), at);
    return bytes;
  },
  "huge-size": (bytes, at) => {
    const sizes = [0xffffffff, 0x7fffffff, 0x80000000, 0x00ffffff, 0x01000000, 1, 0];
    const view = new DataView(bytes.buffer), tail = at(2) === 1 ? Math.max(0, bytes.length - 900) : 0;
    view.setUint32(tail + at(Math.min(900, bytes.length - tail) - 4), sizes[at(sizes.length)]!);
    return bytes;
  },
  "huge-number": (bytes, at) => {
    // A field of a table that an index is made of: counts and sizes of samples, chunks, pictures.
    const text = new TextDecoder("latin1").decode(bytes);
    const names = [
      "stsz",
      "stts",
      "stsc",
      "stco",
      "ctts",
      "elst",
      "tkhd",
      "mdhd",
      "avcC",
      "avih",
      "strh",
      "idx1",
      "strf",
    ];
    const found = names.map((name) => text.indexOf(name)).filter((place) => place >= 0);
    const place = found.length === 0 ? at(200) : found[at(found.length)]! + 4 + 4 * at(6);
    new DataView(bytes.buffer).setUint32(Math.min(place, bytes.length - 4), at(2) === 0 ? 0xffffffff : 0x10000000);
    return bytes;
  },
  "swap-boxes": (bytes, at) => {
    const boxes = outerBoxes(bytes);
    if (boxes.length < 2) return swap(bytes, at);
    const first = at(boxes.length - 1), second = first + 1 + at(boxes.length - first - 1);
    [boxes[first], boxes[second]] = [boxes[second]!, boxes[first]!];
    return new Uint8Array(boxes.flatMap((box) => [...box]));
  },
  "swap-parts": swap,
  "zero-part": (bytes, at) => {
    const from = at(bytes.length);
    return bytes.fill(0, from, from + 1 + at(2000));
  },
  "all-zero": (bytes) => bytes.fill(0),
  "zero-after-head": (bytes, at) => bytes.fill(0, 8 + at(64)),
  noise: (bytes, at) => {
    const from = at(bytes.length), noise = bytes.subarray(from, from + 1 + at(3000));
    noise.forEach((_, i) => noise[i] = at(256));
    return bytes;
  },
  appended: (bytes, at) => new Uint8Array([...bytes, ...Array.from({ length: 1 + at(5000) }, () => at(256))]),
  twice: (bytes) => new Uint8Array([...bytes, ...bytes]),
  text: (_, at) => new TextEncoder().encode("Not a video, though it is called one.\n".repeat(1 + at(200))),
  pointer: () => new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"),
  empty: () => new Uint8Array(0),
};

function flip(bytes: Uint8Array, bits: number, at: (limit: number) => number, within = bytes.length): Uint8Array {
  for (let i = 0; i < bits; i++) bytes[at(Math.min(within, bytes.length))]! ^= 1 << at(8);
  return bytes;
}

function swap(bytes: Uint8Array, at: (limit: number) => number): Uint8Array {
  const length = 1 + at(Math.min(500, bytes.length >> 2)),
    [a, b] = [at(bytes.length - length), at(bytes.length - length)];
  const first = bytes.slice(a, a + length);
  bytes.copyWithin(a, b, b + length);
  bytes.set(first, b);
  return bytes;
}

/** Boxes of an MP4, or what passes for such. */
function outerBoxes(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), boxes: Uint8Array[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = view.getUint32(at);
    if (length < 8 || at + length > bytes.length) return boxes;
    boxes.push(bytes.subarray(at, at + length));
    at += length;
  }
  return boxes;
}

/**
 * The broken files of some good ones.
 *
 * @param clips Paths of the good ones.
 * @param count How many, over all kinds in turn.
 * @param seed Other files for another seed.
 */
export function mutations(clips: readonly string[], count: number, seed: number): Mutation[] {
  const good = clips.map((path) => Deno.readFileSync(path)), kinds = Object.entries(KINDS);
  return Array.from({ length: count }, (_, i): Mutation => {
    const [kind, change] = kinds[i % kinds.length]!, clip = Math.floor(i / kinds.length) % clips.length;
    const name = `${i} ${kind} of ${clips[clip]!.split("/").at(-1)}`;
    const draws = uniforms(8192, seed, "fuzz", i);
    let used = 0;
    const draw: Draw = () => draws[used++ % draws.length]!;
    return {
      name,
      write: (path) => Deno.writeFile(path, change(good[clip]!.slice(), (limit) => Math.floor(draw() * limit))),
    };
  });
}

/** Paths that lead to no file, and to what would block whoever opened it. */
export function places(folder: string): Mutation[] {
  const fifo = async (path: string) => {
    const { success } = await new Deno.Command("mkfifo", { args: [path] }).output();
    if (!success) throw new Error(`mkfifo ${path} failed`);
  };
  return [
    { name: "a link to itself", write: (path) => Deno.symlink(path, path) },
    {
      name: "two links to each other",
      write: async (path) => {
        await Deno.symlink(path, `${path}.other`);
        await Deno.symlink(`${path}.other`, path);
      },
    },
    { name: "a link to nothing", write: (path) => Deno.symlink(`${folder}/nothing`, path) },
    { name: "a folder", write: (path) => Deno.mkdir(path) },
    { name: "a pipe", write: fifo },
    {
      name: "a link to a pipe",
      write: async (path) => {
        await fifo(`${path}.pipe`);
        await Deno.symlink(`${path}.pipe`, path);
      },
    },
    { name: "a link to a device", write: (path) => Deno.symlink("/dev/zero", path) },
    { name: "nothing", write: () => {} },
  ];
}
