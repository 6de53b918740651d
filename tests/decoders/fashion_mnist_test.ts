import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { decode } from "fast-png";
import { readFashion } from "../../decoders/lists/_fashion_pictures.ts";
import { type FashionOptions, makeFashionMnist } from "../../decoders/lists/fashion_mnist.ts";
import { ListError } from "../../decoders/lists/list_error.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { uniforms } from "../../pipeline/random.ts";
import { inTempDir } from "./_clips.ts";

function small(folder: string, more: Partial<FashionOptions> = {}): FashionOptions {
  return { folder, trainClips: 2, valClips: 1, seed: 3, uniforms, ...more };
}

Deno.test("the picture demo's lists name PNG files that decode to the pictures of their class", async () => {
  await inTempDir(async (folder) => {
    const made = await makeFashionMnist(small(folder));
    assertEquals(await Deno.readTextFile(made.train), "train/000000.png 0\ntrain/000001.png 1\n");
    assertEquals(await Deno.readTextFile(made.val), "val/000000.png 0\n");
    assertEquals((await Deno.readTextFile(`${folder}/classes.txt`)).split("\n")[9], "ankle boot");
    const { train, val } = await readFashion(0);
    assertEquals([train.length, val.length], [5997, 1000]);
    using decoder = new LibavDecoder();
    for (const [name, pictures, others] of [["train/000000", train, val], ["val/000000", val, train]] as const) {
      const { data } = decode(await Deno.readFile(`${folder}/${name}.png`));
      const has = (all: readonly Uint8Array[]) => all.some((one) => String(one) === String(data));
      assertEquals([has(pictures), has(others)], [true, false], name);
      const view = decoder.decodeSync({
        path: `${folder}/${name}.png`,
        sampling: { kind: "uniform", frames: 1 },
        crop: { kind: "centre" },
        size: 28,
        tubelet: 1,
        patch: 28,
        draws: [],
      });
      assertEquals(view.cubes.filter((_, i) => i % 3 === 1).toString(), data.toString(), name);
    }
  });
});

Deno.test("the picture demo finishes a folder left half made with the same bytes, and refuses another seed's", async () => {
  await inTempDir(async (folder) => {
    await makeFashionMnist(small(folder));
    const path = `${folder}/train/000001.png`;
    const before = await Deno.readFile(path);
    await Deno.remove(path);
    await Deno.rename(`${folder}/fashion-mnist.json`, `${folder}/fashion-mnist.partial.json`);
    await makeFashionMnist(small(folder));
    assertEquals(await Deno.readFile(path), before);
    await assertRejects(() => makeFashionMnist(small(folder, { seed: 4 })), ListError, "seed 3, asked for 4");
    await makeFashionMnist(small(`${folder}/other`, { seed: 4 }));
    assertNotEquals(await Deno.readFile(`${folder}/other/train/000001.png`), before);
  });
});

Deno.test("the picture demo says how many pictures there are", async () => {
  const more = { trainClips: 59_871 };
  await assertRejects(() => makeFashionMnist(small("/nowhere", more)), RangeError, "1 to 59870, got 59871");
});
