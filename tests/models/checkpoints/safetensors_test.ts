/** Safetensors: what is written is read back, and hostile or damaged files are refused before memory is spent on them. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SafetensorsFile, writeSafetensors } from "../../../models/checkpoints/safetensors.ts";

async function inFolder(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(`${folder}/x.safetensors`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A file with this header text and this many data bytes. */
function fileBytes(
  header: string,
  dataBytes: number,
  headerBytes = new TextEncoder().encode(header).length,
): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(text, 8);
  return bytes;
}

Deno.test("tensors of all float types come back, each from its own range", async () => {
  await inFolder(async (path) => {
    await writeSafetensors(path, [
      { name: "half", dtype: "F16", shape: [2], data: Uint16Array.of(0x3c00, 0xc000) },
      { name: "b", shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      { name: "brain", dtype: "BF16", shape: [1], data: Uint16Array.of(0x4049) },
      { name: "a", shape: [], data: Float32Array.of(-7) },
      { name: "double", dtype: "F64", shape: [1], data: Float64Array.of(0.5) },
      { name: "index", dtype: "I32", shape: [1], data: Int32Array.of(9) },
      { name: "none", shape: [0, 3], data: new Float32Array(0) },
    ], { format: "pt" });
    await using file = await SafetensorsFile.open(path);
    assertEquals(file.metadata, new Map([["format", "pt"]]));
    const expected = { half: [1, -2], b: [1, 2, 3, 4], brain: [3.140625], a: [-7], double: [0.5], none: [] };
    const read = await Promise.all(Object.keys(expected).map((name) => file.readFloats(name)));
    assertEquals(read.map((values) => [...values]), Object.values(expected));
    assertEquals(file.tensors.get("b")!.shape, [2, 2]);
    // Wide types first: every tensor is aligned to its size.
    for (const { range, name } of file.tensors.values()) assertEquals(range[0] % (name === "double" ? 8 : 2), 0);
    await assertRejects(() => file.readFloats("index"), TypeError, "holds I32, floats are needed");
    await assertRejects(() => file.readFloats("c"), TypeError, "has no tensor c");
  });
});

Deno.test("equal tensors give equal bytes, whatever their order, and nothing temporary stays", async () => {
  await inFolder(async (path) => {
    const tensors = ["x", "y", "z"].map((name, i) => ({ name, shape: [3], data: new Float32Array(3).fill(i) }));
    await writeSafetensors(path, tensors);
    const first = await Deno.readFile(path);
    await writeSafetensors(path, tensors.toReversed());
    assertEquals(await Deno.readFile(path), first);
    assertEquals(first.length % 4, 0);
    assertEquals([...Deno.readDirSync(path.slice(0, path.lastIndexOf("/")))].map(({ name }) => name), [
      "x.safetensors",
    ]);
  });
});

Deno.test("data that do not fit their shape, and names that come twice, are not written", async () => {
  await inFolder(async (path) => {
    const data = new Float32Array(3);
    await assertRejects(
      () => writeSafetensors(path, [{ name: "x", shape: [2], data }]),
      RangeError,
      "has 8 bytes, found 12",
    );
    const twice = [{ name: "x", shape: [3], data }, { name: "x", shape: [3], data }];
    await assertRejects(() => writeSafetensors(path, twice), RangeError, "the name x comes twice");
  });
});

const entry = (dtype: string, shape: unknown, start: unknown, end: unknown) =>
  JSON.stringify({ x: { dtype, shape, data_offsets: [start, end] } });

const HOSTILE: readonly (readonly [what: string, bytes: Uint8Array, message: string])[] = [
  ["is empty", new Uint8Array(0), "the file has 0 in all"],
  ["is cut inside the length", new Uint8Array(5), "the file has 5 in all"],
  ["claims a header of 2^63 bytes", fileBytes("{}", 0, 2 ** 63), "its header should have 9223372036854776000"],
  ["claims a header longer than the file", fileBytes("{}", 10, 1000), "its header should have 1000 bytes"],
  ["has no JSON header", fileBytes("{x}", 0), "its header is not JSON"],
  ["has a list for a header", fileBytes("[1]", 0), "is not a JSON object"],
  ["has an unknown type", fileBytes(entry("F8", [1], 0, 1), 1), "has the type F8"],
  ["has a type named like an inherited property", fileBytes(entry("toString", [1], 0, 1), 1), "has the type toString"],
  ["has a negative size", fileBytes(entry("U8", [-1], 0, 1), 1), "has the shape [-1]"],
  ["has a fraction for a size", fileBytes(entry("U8", [0.5], 0, 1), 1), "has the shape [0.5]"],
  ["has sizes whose product overflows", fileBytes(entry("U8", [2 ** 40, 2 ** 40], 0, 1), 1), "its range has 1"],
  [
    "has sizes of infinity and nothing",
    fileBytes(entry("U8", [...Array(31).fill(2 ** 53 - 1), 0], 0, 0), 0),
    "its range has 0",
  ],
  ["has a range beyond the file", fileBytes(entry("U8", [10], 0, 10), 5), "its tensors end at byte"],
  ["has a range before the data", fileBytes(entry("U8", [1], -1, 0), 1), "the byte range [-1,0]"],
  ["has a range backwards", fileBytes(entry("U8", [1], 1, 0), 1), "its range has -1"],
  ["has more data than tensors", fileBytes(entry("U8", [1], 0, 1), 2), "its tensors end at byte"],
  ["has a gap before a tensor", fileBytes(entry("U8", [1], 1, 2), 2), "begins at byte"],
  [
    "has tensors that overlap",
    fileBytes(
      JSON.stringify({
        x: { dtype: "U8", shape: [2], data_offsets: [0, 2] },
        y: { dtype: "U8", shape: [2], data_offsets: [1, 3] },
      }),
      3,
    ),
    "the one before it ends at",
  ],
  [
    "has two tensors of one name in one place",
    fileBytes(`{${entry("U8", [1], 0, 1).slice(1, -1)},"\\u0078": ${entry("U8", [1], 0, 1).slice(5)}`, 1),
    "the name x comes twice",
  ],
  [
    "gives a tensor two shapes",
    fileBytes('{"x": {"dtype": "U8", "shape": [2], "data_offsets": [0, 1], "shape": [1]}}', 1),
    "the name shape comes twice",
  ],
  ["claims a header of 100 GB", fileBytes("{}", 0, 1e11), "its header should have 100000000000 bytes"],
  ["claims a tensor of 100 GB", fileBytes(entry("F32", [25e9], 0, 1e11), 8), "its tensors end at byte"],
  ["has an entry that is no object", fileBytes('{"x": 3}', 0), "has the type undefined"],
  ["has metadata that are no texts", fileBytes('{"__metadata__": {"a": 1}}', 0), "its metadata are not texts"],
];

for (const [what, bytes, message] of HOSTILE) {
  Deno.test(`a file that ${what} is refused`, async () => {
    await inFolder(async (path) => {
      await Deno.writeFile(path, bytes);
      const error = await assertRejects(
        () => SafetensorsFile.open(path),
        SyntaxError,
        "is not a whole safetensors file",
      );
      assert(error.message.includes(message), error.message);
      assert(error.message.endsWith("Fetch or export it again"));
    });
  });
}

Deno.test("a tensor named __proto__ is a tensor", async () => {
  await inFolder(async (path) => {
    await Deno.writeFile(path, fileBytes('{"__proto__": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}', 1));
    await using file = await SafetensorsFile.open(path);
    assertEquals([...file.tensors.keys()], ["__proto__"]);
    assertEquals([...await file.readBytes("__proto__")], [0]);
  });
});

Deno.test("a name of millions of letters is refused in a short message", async () => {
  await inFolder(async (path) => {
    for (const letter of ["a", '\\"']) {
      await Deno.writeFile(path, fileBytes(`{"${letter.repeat(3e6)}": 3}`, 0));
      const error = await assertRejects(
        () => SafetensorsFile.open(path),
        SyntaxError,
        " .... Fetch or export it again",
      );
      assert(error.message.length < 2000);
    }
  });
});

Deno.test("names with quotes, colons and brackets in them are names", async () => {
  await inFolder(async (path) => {
    const names = ['a": {"b', "{}[]", "x\\", "x", "dtype"];
    await writeSafetensors(path, names.map((name) => ({ name, shape: [], data: new Float32Array(1) })));
    await using file = await SafetensorsFile.open(path);
    assertEquals([...file.tensors.keys()].sort(), [...names].sort());
  });
});

Deno.test("a file cut after it was opened is refused when it is read", async () => {
  await inFolder(async (path) => {
    await writeSafetensors(path, [{ name: "x", shape: [1000], data: new Float32Array(1000) }]);
    await using file = await SafetensorsFile.open(path);
    await Deno.truncate(path, 500);
    await assertRejects(() => file.readFloats("x"), SyntaxError, "it ends at byte 500");
  });
});
