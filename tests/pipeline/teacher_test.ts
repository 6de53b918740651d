/** A given teacher: who it is depends on all files of its weights, and what is none is refused before any work. */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { officialTensors } from "../../models/checkpoints/official_names.ts";
import { type TensorToStore, writeSafetensors } from "../../models/checkpoints/safetensors.ts";
import type { ParameterSpec } from "../../models/parameters.ts";
import { sinusoid } from "../../models/positions.ts";
import type { HostArray } from "../../models/runtime/engine.ts";
import { teacherForward } from "../../models/teacher.ts";
import { sizeOf } from "../../models/tensor/mod.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { sha256OfFile } from "../../pipeline/shards/file_hash.ts";
import { resolveTeacher } from "../../pipeline/stages/teacher.ts";
import { Network } from "../../pipeline/training/network.ts";
import type { HostParameters } from "../../pipeline/training/weights.ts";
import { referenceEngine } from "../models/_engines.ts";
import { inFolder } from "../models/checkpoints/_archives.ts";

Deno.test("a teacher is bound to the bytes of its weights, in one file or in several", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const hash = async (teacher: string) => {
      const { settings } = resolveSettings({ flags: { teacher: `${folder}/${teacher}` } });
      return (await resolveTeacher(settings, undefined)).sha256;
    };
    const write = (name: string, value: number) =>
      writeSafetensors(`${folder}/${name}`, [{ name, shape: [1], data: Float32Array.of(value) }]);
    await write("a", 1);
    await write("b", 2);
    await Deno.writeTextFile(`${folder}/all.index.json`, JSON.stringify({ weight_map: { a: "a", b: "b" } }));
    assertEquals(await hash("a"), await sha256OfFile(`${folder}/a`));
    const before = await hash("all.index.json");
    assertEquals(await hash("all.index.json"), before);
    await write("b", 3);
    assertNotEquals(await hash("all.index.json"), before);

    await Deno.writeTextFile(`${folder}/x`, "not weights at all");
    await assertRejects(() => hash("x"), SettingsError, "cannot be read");
    await assertRejects(() => hash("nothing"), SettingsError, "cannot be read");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const SIZES = { width: 8, depth: 2, heads: 2 };

/** Writes the encoder of a teacher under official names. @param change Takes tensors away, adds and changes some. */
async function writeTeacher(
  path: string,
  change: (tensors: Map<string, TensorToStore>) => void = () => {},
): Promise<readonly ParameterSpec[]> {
  const { parameters } = teacherForward({
    grid: { slots: 1, rows: 2, columns: 2 },
    cube: { tubelet: 2, patch: 4 },
    encoder: SIZES,
    layers: [1],
    batch: 1,
    visible: 2,
    compute: "f32",
  });
  const values = parameters.map(({ name, shape }) => ({
    name: `encoder.${name}`,
    shape,
    data: new Float32Array(sizeOf(shape)).fill(2),
  }));
  const tensors = new Map(officialTensors(values, { tubelet: 2, patch: 4 }).map((tensor) => [tensor.name, tensor]));
  const add = (name: string, shape: number[]) =>
    tensors.set(name, { name, shape, data: new Float32Array(sizeOf(shape)) });
  // What a whole pre-training file has beside: the second block, norms, decoder, heads.
  for (const name of ["encoder.blocks.1.norm1.weight", "encoder.norm.bias", "decoder.norm.bias", "mask_token"]) {
    add(name, [8]);
  }
  change(tensors);
  await writeSafetensors(path, [...tensors.values()]);
  return parameters;
}

async function readTeacher(path: string, specs: readonly ParameterSpec[], strict: boolean, size = 8) {
  const flags = {
    "teacher": path,
    "teacher-width": "8",
    "teacher-depth": "2",
    "teacher-heads": "2",
    "teacher-layers": "1,2",
    "student-layers": "1,2",
    "frames": "2",
    "size": String(size),
    "patch": "4",
    "strict": String(strict),
    "student-ratio": "0.75",
    "teacher-ratio": "0.5",
  };
  const warnings: string[] = [];
  const { settings } = resolveSettings({ flags });
  const teacher = await resolveTeacher(settings, undefined, (warning) => warnings.push(warning));
  return { values: await teacher.parameters(specs), warnings };
}

Deno.test("a whole pre-training file is read strictly: its decoder, norm and later blocks are left out", async () => {
  await inFolder(async (folder) => {
    const specs = await writeTeacher(`${folder}/x`);
    const { values, warnings } = await readTeacher(`${folder}/x`, specs, true);
    assertEquals([values.size, warnings], [specs.length, []]);
  });
});

Deno.test("missing, unexpected and mismatched tensors are listed with shapes; --no-strict draws what it must", async () => {
  await inFolder(async (folder) => {
    const specs = await writeTeacher(`${folder}/x`, (tensors) => {
      tensors.delete("encoder.blocks.0.attn.proj.weight");
      tensors.set("encoder.blocks.0.norm2.bias", {
        name: "encoder.blocks.0.norm2.bias",
        shape: [9],
        data: new Float32Array(9),
      });
      tensors.set("encoder.blocks.2.norm1.bias", {
        name: "encoder.blocks.2.norm1.bias",
        shape: [8],
        data: new Float32Array(8),
      });
      tensors.set("cls_token", { name: "cls_token", shape: [1, 1, 8], data: new Float32Array(8) });
    });
    const told = [
      "1 missing: blocks.0.attn.proj.weight [8, 8]; ",
      "2 unexpected: cls_token [1, 1, 8], encoder.blocks.2.norm1.bias [8]; ",
      "1 of another shape: encoder.blocks.0.norm2.bias is [9], which does not fit blocks.0.norm2.bias, [8]",
    ].join("");
    const error = await assertRejects(() => readTeacher(`${folder}/x`, specs, true), TypeError, told);
    assert(error.message.endsWith("with --no-strict"), error.message);
    const { values, warnings } = await readTeacher(`${folder}/x`, specs, false);
    assert(warnings.length === 1 && warnings[0]!.includes(told), warnings.join());
    assertEquals(values.get("blocks.0.norm2.weight"), new Float32Array(8).fill(2));
    assertEquals(values.get("blocks.0.norm2.bias"), new Float32Array(8));
    const drawn = values.get("blocks.0.attn.proj.weight")!;
    assert(drawn.length === 64 && new Set(drawn).size > 32 && drawn.every((value) => Math.abs(value) < 1));
    assertEquals((await readTeacher(`${folder}/x`, specs, false)).values.get("blocks.0.attn.proj.weight"), drawn);
  });
});

Deno.test("a teacher's own position table is used, interpolated to the tokens of the run", async () => {
  await inFolder(async (folder) => {
    const table = Float32Array.from({ length: 4 * 8 }, (_, i) => i);
    const specs = await writeTeacher(`${folder}/x`, (tensors) => {
      tensors.set("encoder.pos_embed", { name: "encoder.pos_embed", shape: [1, 4, 8], data: table });
    });
    const same = await readTeacher(`${folder}/x`, specs, true);
    assertEquals(same.values.get("positions.8"), table);
    const larger = await readTeacher(`${folder}/x`, specs, true, 16);
    assertEquals(larger.values.get("positions.8")!.length, 16 * 8);

    const forward = teacherForward({
      grid: { slots: 1, rows: 2, columns: 2 },
      cube: { tubelet: 2, patch: 4 },
      encoder: SIZES,
      layers: [1],
      batch: 1,
      visible: 4,
      compute: "f32",
    });
    const features = async (values: HostParameters) => {
      using network = await Network.load(referenceEngine(), forward, values);
      const data = new Map<string, HostArray>([
        ["cubes", new Uint8Array(4 * 96)],
        ["teacher_tokens", Int32Array.of(0, 1, 2, 3)],
      ]);
      return (await network.run(data)).get("features/0");
    };
    const own = await features(same.values);
    const sines = await features(new Map([...same.values, ["positions.8", sinusoid(4, 8)]]));
    const none = await features(new Map([...same.values].filter(([name]) => name !== "positions.8")));
    assertNotEquals(own, sines);
    assertEquals(none, sines);
  });
});
