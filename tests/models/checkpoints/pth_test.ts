/** PyTorch's files: those in `tests/fixtures/pth`, written by PyTorch 2.15 with `make.py`, and what is refused. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type PickleOptions, unpickle } from "../../../models/checkpoints/_pickle.ts";
import { torchGlobal, torchStorage } from "../../../models/checkpoints/_torch_objects.ts";
import { loadParameters } from "../../../models/checkpoints/official_names.ts";
import { openWeights } from "../../../models/checkpoints/open_weights.ts";
import { PthFile } from "../../../models/checkpoints/pth.ts";
import { writeSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { Parameters } from "../../../models/parameters.ts";
import { deflated, inFolder, zipped } from "./_archives.ts";

const fixture = (name: string) => `${import.meta.dirname}/../../fixtures/pth/${name}`;

const FLOATS = {
  weight: [[2, 3], [0, 1, 2, 3, 4, 5]],
  bias: [[2], [1.5, -2.5]],
  tied: [[2, 3], [0, 1, 2, 3, 4, 5]],
  transposed: [[3, 2], [0, 3, 1, 4, 2, 5]],
  slice: [[2, 2], [4, 6, 8, 10]],
  scalar: [[], [-7]],
  none: [[0, 3], []],
  half: [[2], [1, -2]],
  brain: [[1], [3.140625]],
  double: [[1], [0.5]],
};

for (const name of ["archive.pth", "protocol4.pth", "legacy.pth", "bare.pth"]) {
  Deno.test(`${name}: every tensor comes back, views in row-major order`, async () => {
    await using file = await PthFile.open(fixture(name));
    assertEquals([...file.tensors.keys()].sort(), [...Object.keys(FLOATS), "flag", "index"].sort());
    for (const [name, [shape, values]] of Object.entries(FLOATS)) {
      assertEquals(file.tensors.get(name)!.shape, shape, name);
      assertEquals([...await file.readFloats(name)], values, name);
    }
    const index = await file.readBytes("index");
    assertEquals([...new BigInt64Array(index.buffer)], [7n, -1n]);
    assertEquals([...await file.readBytes("flag")], [1, 0]);
    await assertRejects(() => file.readFloats("index"), TypeError, "holds I64, floats are needed");
    await assertRejects(() => file.readFloats("x"), TypeError, "has no tensor x");
  });
}

Deno.test("the content of a file decides what it is read as, not its name", async () => {
  await inFolder(async (folder) => {
    const file = async (name: string, bytes: Uint8Array) => {
      await Deno.writeFile(`${folder}/${name}`, bytes);
      await using opened = await openWeights(`${folder}/${name}`);
      return opened.tensors.size;
    };
    for (const name of ["archive.pth", "legacy.pth"]) {
      assertEquals(await file("x.safetensors", await Deno.readFile(fixture(name))), 12);
    }
    await writeSafetensors(`${folder}/y`, [{ name: "x", shape: [1], data: Float32Array.of(1) }]);
    assertEquals(await file("x.pth", await Deno.readFile(`${folder}/y`)), 1);
    const other = () => file("x.pth", new Uint8Array(100).fill(7));
    await assertRejects(other, SyntaxError, "neither a safetensors file nor one of torch.save");
  });
});

Deno.test("weights in several files are read as one, and a list that does not fit them is refused", async () => {
  await inFolder(async (folder) => {
    const index = `${folder}/model.safetensors.index.json`;
    await writeSafetensors(`${folder}/1.safetensors`, [{ name: "x", shape: [1], data: Float32Array.of(1) }]);
    await Deno.copyFile(fixture("archive.pth"), `${folder}/2.bin`);
    const list = (map: unknown) => Deno.writeTextFile(index, JSON.stringify({ metadata: {}, weight_map: map }));
    await list({ x: "1.safetensors", bias: "2.bin", half: "2.bin" });
    await using weights = await openWeights(index);
    assertEquals([...weights.tensors.keys()], ["x", "bias", "half"]);
    assertEquals(weights.files, [index, `${folder}/1.safetensors`, `${folder}/2.bin`]);
    assertEquals(await weights.readFloats("x"), Float32Array.of(1));
    assertEquals(await weights.readFloats("half"), Float32Array.of(1, -2));
    for (
      const [map, message] of [
        [{ x: "../1.safetensors" }, 'names "../1.safetensors" for x, which is no file beside it'],
        [{ x: ".." }, "is no file beside it"],
        [{ x: "a\\b" }, "is no file beside it"],
        [{ x: 3 }, "is no file beside it"],
        [{ y: "1.safetensors" }, "1.safetensors has no tensor y"],
        [{}, "names 0 files"],
        [[], 'no object "weight_map"'],
      ] as const
    ) {
      await list(map);
      await assertRejects(() => openWeights(index), SyntaxError, message);
    }
    await Deno.writeTextFile(index, '{"weight_map"');
    await assertRejects(() => openWeights(index), SyntaxError, "is not JSON");
    await Deno.copyFile(index, `${folder}/1.safetensors`);
    await list({ x: "1.safetensors" });
    await assertRejects(() => openWeights(index), SyntaxError, "is neither a safetensors file");
  });
});

Deno.test("a pickle that would run a command is refused by the command's name, and nothing runs", async () => {
  const error = await assertRejects(() => PthFile.open(fixture("evil.pth")), TypeError, "Python object posix.system");
  assert(error.message.includes("nothing was run"));
});

Deno.test("parameters load from a PyTorch file as from any other, with module. in front of their names too", async () => {
  await inFolder(async (folder) => {
    const parameters = new Parameters();
    parameters.vector("bias", 2);
    await using file = await openWeights(fixture("archive.pth"));
    const { values, missing } = await loadParameters(file, parameters.specs);
    assertEquals([missing, values.get("bias")], [[], Float32Array.of(1.5, -2.5)]);

    // The name stands behind its length.
    const bytes = await Deno.readFile(fixture("legacy.pth"));
    const text = String.fromCharCode(...bytes);
    const wrapped = text.replace("X\x04\0\0\0bias", "X\x0b\0\0\0module.bias");
    assert(wrapped !== text);
    await Deno.writeFile(`${folder}/x.pth`, Uint8Array.from(wrapped, (letter) => letter.charCodeAt(0)));
    await using other = await openWeights(`${folder}/x.pth`);
    assertEquals((await loadParameters(other, parameters.specs)).values.get("bias"), Float32Array.of(1.5, -2.5));
  });
});

const storage = (key: string, numbers: number) =>
  `(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0${key}X\x03\0\0\0cpuK${String.fromCharCode(numbers)}tQ`;
/** A pickle of `{"x": tensor}` with the opcodes of offset, shape and strides. */
const pickled = (view: string, from = storage("0", 6)) =>
  `\x80\x02}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n(${from}${view}\x89}tRs.`;
const PLAIN = "K\0K\x02K\x03\x86K\x03K\x01\x86";
const SIX = "\0".repeat(24);
const members = (pickle: string, data = SIX): [string, string][] => [["a/data.pkl", pickle], ["a/data/0", data]];

Deno.test("the hand-written file of the refusals is read when it is whole", async () => {
  await inFolder(async (folder) => {
    await Deno.writeFile(`${folder}/x.pth`, zipped(members(pickled(PLAIN))));
    await using file = await PthFile.open(`${folder}/x.pth`);
    assertEquals(file.tensors.get("x")!.shape, [2, 3]);
    assertEquals(await file.readFloats("x"), new Float32Array(6));
  });
});

/** An archive whose directory says something else in the entry of its first or second member. */
function withEntry(member: 0 | 1, field: number, value: number): Uint8Array {
  const bytes = zipped(members(pickled(PLAIN)));
  const start = bytes.length - 22 - 2 * 46 - "a/data.pkl".length - "a/data/0".length;
  bytes[start + member * (46 + "a/data.pkl".length) + field] = value;
  return bytes;
}

const HUGE = "\x8a\x07\xff\xff\xff\xff\xff\xff\x1f";
const REFUSED: readonly (readonly [what: string, bytes: Uint8Array, message: string])[] = [
  ["is no archive and no pickle", new Uint8Array(100), "begins neither as a zip archive"],
  ["ends before the archive does", zipped(members(pickled(PLAIN))).subarray(0, -30), "no end of a zip archive"],
  ["has a compressed member", await deflated(members(pickled(PLAIN))), "is compressed (method 8)"],
  [
    "has two members of one name",
    zipped([...members(pickled(PLAIN)), ["a/data/0", SIX]]),
    "two members named a/data/0",
  ],
  ["has a member that leads out", zipped([...members(pickled(PLAIN)), ["a/../../x", ""]]), "leads out of the archive"],
  ["has a member with an absolute name", zipped([...members(""), ["/etc/x", ""]]), "leads out of the archive"],
  ["has members in one place", withEntry(1, 42, 0), "overlaps another one"],
  ["has a member inside another", withEntry(1, 42, 45), "overlaps what follows it"],
  ["has a member with two sizes", withEntry(1, 24, 23), "has 23 bytes in 24"],
  ["has an encrypted member", withEntry(1, 8, 1), "is encrypted"],
  ["has no pickle", zipped([["a/data/0", SIX]]), "no single member data.pkl"],
  ["has two pickles", zipped([...members(""), ["b/data.pkl", ""]]), "no single member data.pkl"],
  ["is of a big-endian machine", zipped([...members(""), ["a/byteorder", "big"]]), "begin with the high byte"],
  ["has no tensors", zipped(members("\x80\x02}.")), "no dict of tensors"],
  ["lacks the numbers", zipped([["a/data.pkl", pickled(PLAIN)]]), "the numbers of tensor x are missing"],
  [
    "has too few numbers",
    zipped(members(pickled(PLAIN), "\0")),
    "needs 6 numbers of type F32, its storage has 1 bytes",
  ],
  [
    "has a tensor beyond its storage",
    zipped(members(pickled("K\x01K\x02K\x03\x86K\x03K\x01\x86"))),
    "beyond the 6 numbers",
  ],
  ["repeats numbers without end", zipped(members(pickled(`K\0${HUGE}\x85K\0\x85`))), "beyond the 6 numbers"],
  ["has sizes whose product overflows", zipped(members(pickled(`K\0(${HUGE.repeat(31)}tK\0\x85`))), "is no view"],
  [
    "has sizes of infinity and nothing",
    zipped(members(pickled(`K\0(${HUGE.repeat(30)}K\0t(${"K\0".repeat(31)}t`))),
    "beyond",
  ],
  ["has a negative stride", zipped(members(pickled("K\x05K\x02\x85J\xff\xff\xff\xff\x85"))), "is no view of numbers"],
  ["has a list for a storage", zipped(members(pickled(PLAIN, "]"))), "is no view of numbers"],
];

for (const [what, bytes, message] of REFUSED) {
  Deno.test(`a PyTorch file that ${what} is refused`, async () => {
    await inFolder(async (folder) => {
      await Deno.writeFile(`${folder}/x.pth`, bytes);
      const error = await assertRejects(
        () => PthFile.open(`${folder}/x.pth`),
        SyntaxError,
        "is not a whole PyTorch file",
      );
      assert(error.message.includes(message), error.message);
    });
  });
}

const options: PickleOptions = { global: (name) => torchGlobal(name, "x.pth"), persistent: torchStorage };
const read = (pickle: string) => unpickle(Uint8Array.from(pickle, (letter) => letter.charCodeAt(0)), 0, options).value;

Deno.test("plain values come back as their likes", () => {
  assertEquals(read("\x80\x02(NK\x07\x88\x89M\x01\x02J\xff\xff\xff\xffG?\xe0\0\0\0\0\0\0\x8a\x01\xfeX\x02\0\0\0hit."), [
    null,
    7,
    true,
    false,
    513,
    -1,
    0.5,
    -2,
    "hi",
  ]);
  assertEquals(read("\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\x01."), 2n ** 64n);
  assertEquals(read("\x80\x04\x95\x05\0\0\0\0\0\0\0}\x94\x8c\x01aK\x01s."), new Map([["a", 1]]));
  assertEquals(read("\x80\x02]q\x01(K\x01K\x02eh\x01\x86."), [[1, 2], [1, 2]]);
});

for (
  const [what, pickle, message] of [
    ["takes values that are not there", "\x80\x02\x86.", "values where there are none"],
    ["ends a list that did not begin", "\x80\x02t.", "without the beginning"],
    ["goes on behind its end", "\x80\x02X\xff\0\0\0a", "does not end within the file"],
    ["refers to a value that is not there", "\x80\x02h\x05.", "refers to value 5"],
    ["has an opcode of protocol 0", "I7\n.", "has the opcode 0x49"],
    ["has a protocol of the future", "\x80\x09.", "protocol 9"],
    ["calls a number", "\x80\x02K\x01)R.", "calls what cannot be called"],
    ["calls an element type", "\x80\x02ctorch\nfloat32\n)R.", "calls what cannot be called"],
    ["fills a list as a dict", "\x80\x02]K\x01K\x02s.", "fills what is no dict"],
    ["appends to a dict", "\x80\x02}K\x01a.", "appends to what is no list"],
    ["has a name without an end", "\x80\x02ctorch", "a name without an end"],
    ["has millions of lists", `\x80\x02${"]".repeat(300_000)}.`, "more than 100000 lists"],
    ["has millions of steps", `\x80\x02${"N".repeat(1_100_000)}.`, "more than 500000 steps"],
    ["keeps data outside of the storages", "\x80\x02K\x01Q.", "no storage of a known type"],
  ] as const
) {
  Deno.test(`a pickle that ${what} is refused`, () => {
    assertThrows(() => read(pickle), SyntaxError, message);
  });
}

for (
  const name of ["os.system", "builtins.eval", "builtins.getattr", "torch.load", "toString", "__proto__.constructor"]
) {
  Deno.test(`the Python name ${name} is refused`, () => {
    const [module, ...rest] = name.split(".");
    assertThrows(() => read(`\x80\x02c${module}\n${rest.join(".")}\n.`), TypeError, `Python object ${module}`);
  });
}
