/**
 * Weights that somebody damaged, by chance or on purpose: 900 files made from whole ones by seeded changes. Each is either
 * read, every tensor of it with as many bytes as its shape says, or refused with our own error; never with another one, and
 * never at the price of more memory than a small file may take.
 */
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { testInOwnProcess } from "../../_own_process.ts";
import { openWeights } from "../../../models/checkpoints/open_weights.ts";
import { writeSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { sizeOf } from "../../../models/tensor/mod.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { inFolder } from "./_archives.ts";

const MAX_MEMORY = 64 * 2 ** 20;
const BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 };

/** A whole number below `limit`, another one at every call. */
type Draw = (limit: number) => number;
type Change = (bytes: Uint8Array, draw: Draw) => Uint8Array | void;

function drawsOf(seed: number): Draw {
  let drawn = 0;
  const draws = uniforms(4000, seed, "damage of a test");
  return (limit) => Math.floor(draws[drawn++ % draws.length]! * limit);
}

const truncate: Change = (bytes, draw) => bytes.subarray(0, draw(bytes.length));
const grow: Change = (bytes, draw) => {
  const longer = new Uint8Array(bytes.length + 1 + draw(100));
  longer.set(bytes);
  return longer;
};
const flip: Change = (bytes, draw) => {
  for (let i = 0; i <= draw(4); i++) bytes[draw(bytes.length)]! ^= 1 << draw(8);
};

/** Numbers that lengths, offsets and counts are set to. */
const NUMBERS = [
  0n,
  1n,
  0x7fn,
  0xffffn,
  0x7fffffffn,
  0xffffffffn,
  1n << 40n,
  (1n << 53n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];
/** Overwrites 1 to 8 bytes with an extreme number. */
const overwrite = (bytes: Uint8Array, at: number, draw: Draw) => {
  let value = NUMBERS[draw(NUMBERS.length)]!;
  for (let i = 0; i < [1, 2, 4, 8][draw(4)]! && at + i < bytes.length; i++, value >>= 8n) {
    bytes[at + i] = Number(value & 255n);
  }
};
const number: Change = (bytes, draw) => overwrite(bytes, draw(bytes.length), draw);

/** Changes of a safetensors header, as text. */
const VALUES = [
  "-1",
  "0.5",
  "1e30",
  "9007199254740991",
  "107374182400",
  "null",
  '"F32"',
  "[]",
  "{}",
  "[1,2,3]",
  "true",
];
const headerText = (change: (text: string, draw: Draw) => string): Change => (bytes, draw) => {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const text = new TextEncoder().encode(change(new TextDecoder().decode(bytes.subarray(8, 8 + length)), draw));
  const changed = new Uint8Array(8 + text.length + bytes.length - 8 - length);
  new DataView(changed.buffer).setBigUint64(0, BigInt(text.length), true);
  changed.set(text, 8);
  changed.set(bytes.subarray(8 + length), 8 + text.length);
  return changed;
};
/** Replaces one of the matches of a pattern. */
const replaceOne = (text: string, pattern: RegExp, by: string, draw: Draw) => {
  const matches = [...text.matchAll(pattern)], match = matches[draw(matches.length)]!;
  return text.slice(0, match.index) + by + text.slice(match.index + match[0].length);
};

const SAFETENSORS: Record<string, Change> = {
  truncate,
  grow,
  flip,
  length: (bytes, draw) => overwrite(bytes, draw(8), draw),
  "a number": headerText((text, draw) => replaceOne(text, /\d+(?=[,\]])/g, VALUES[draw(VALUES.length)]!, draw)),
  "a type": headerText((text, draw) =>
    replaceOne(text, /F32|F16|I64/g, ["F8", "F64", "U8", "toString"][draw(4)]!, draw)
  ),
  "a name": headerText((text, draw) => replaceOne(text, /"[a-z]\w*"(?=:\{)/g, '"scalar"', draw)),
  "a letter": headerText((text, draw) => replaceOne(text, /[^\d]/g, '{}[],:"'[draw(7)]!, draw)),
};

/** Where a text stands in a file, counted from its end. */
const lastIndexOf = (bytes: Uint8Array, text: string) => String.fromCharCode(...bytes).lastIndexOf(text);
const OPCODES = "\x80\x95(012qr\x94aesubN\x88\x89KMJ\x8a\x8bGX\x8c\x8dTUBC\x8e])}\x85\x86\x87thjc\x93QR\x81.";
const opcode = (start: (bytes: Uint8Array) => number, length: number): Change => (bytes, draw) => {
  for (let i = 0; i <= draw(3); i++) bytes[start(bytes) + draw(length)] = OPCODES.charCodeAt(draw(OPCODES.length));
};
/** The first opcode of an archive's pickle. */
const pickleOf = (bytes: Uint8Array) => String.fromCharCode(...bytes).indexOf("\x80");
const replaceName = (names: readonly string[]): Change => (bytes, draw) => {
  const name = names[draw(names.length)]!, at = lastIndexOf(bytes, "archive/data/1");
  for (let i = 0; i < name.length; i++) bytes[at + i] = name.charCodeAt(i);
};

const ARCHIVE: Record<string, Change> = {
  truncate,
  grow,
  flip,
  number,
  "an opcode": opcode(pickleOf, 1500),
  "a number of the pickle": (bytes, draw) => overwrite(bytes, pickleOf(bytes) + draw(1500), draw),
  "the directory": (bytes, draw) => overwrite(bytes, bytes.length - 1 - draw(900), draw),
  "a member's name": replaceName([
    "/rchive/data/1",
    "../hive/data/1",
    "archive/data/0",
    "archive\\data\\1",
    "a/../../data/1",
  ]),
};

const LEGACY: Record<string, Change> = {
  truncate,
  grow,
  flip,
  number,
  "an opcode": opcode(() => 14, 1800),
  "a number": (bytes, draw) => overwrite(bytes, 14 + draw(1800), draw),
};

async function wholeSafetensors(path: string): Promise<Uint8Array> {
  await writeSafetensors(path, [
    { name: "weight", shape: [3, 4], data: new Float32Array(12) },
    { name: "bias", shape: [3], data: new Float32Array(3) },
    { name: "scalar", shape: [], data: new Float32Array(1) },
    { name: "none", shape: [0, 5], data: new Float32Array(0) },
    { name: "half", dtype: "F16", shape: [2, 2], data: new Uint16Array(4) },
    { name: "index", dtype: "I64", shape: [2], data: new BigInt64Array(2) },
  ], { format: "pt" });
  return await Deno.readFile(path);
}

const fixture = (name: string) => () => Deno.readFile(`${import.meta.dirname}/../../fixtures/pth/${name}`);

/** Whether a file can be read in full; if not, it must have been refused by us. */
async function isReadable(path: string, what: string): Promise<boolean> {
  try {
    await using file = await openWeights(path);
    for (const { name, dtype, shape } of file.tensors.values()) {
      const { length } = await file.readBytes(name);
      assertEquals(length, sizeOf(shape) * BYTES[dtype], `${name} of ${what}`);
    }
    return true;
  } catch (error) {
    const isOurs = (error instanceof SyntaxError || error instanceof TypeError) && error.message.includes(path);
    assert(isOurs, `${what} ended with ${error}`);
    return false;
  }
}

for (
  const [kind, whole, changes, each] of [
    ["safetensors", wholeSafetensors, SAFETENSORS, 40],
    ["archive.pth", fixture("archive.pth"), ARCHIVE, 40],
    ["legacy.pth", fixture("legacy.pth"), LEGACY, 45],
  ] as const
) {
  const name = `${kind}: damaged files are read or refused, in little memory`;
  const fn = async () => {
    await inFolder(async (folder) => {
      const path = `${folder}/x`;
      const original = await whole(path);
      let read = 0, refused = 0, largest = 0;
      const before = Deno.memoryUsage().rss;
      for (const [name, change] of Object.entries(changes)) {
        for (let i = 0; i < each; i++) {
          const bytes = original.slice();
          await Deno.writeFile(path, change(bytes, drawsOf(i)) ?? bytes);
          if (await isReadable(path, `${kind}, ${name} ${i}`)) read++;
          else refused++;
          largest = Math.max(largest, Deno.memoryUsage().rss - before);
        }
      }
      // Some changes do not matter, most do: a test that sees only one kind sees nothing.
      assertGreater(read, 5);
      assertGreater(refused, 100);
      assertLess(largest, MAX_MEMORY);
    });
  };
  testInOwnProcess(import.meta.filename!, { name, fn });
}
