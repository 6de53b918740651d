/** A given teacher: who it is depends on all files of its weights, and what is none is refused before any work. */
import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { writeSafetensors } from "../../models/checkpoints/safetensors.ts";
import { resolveSettings, SettingsError } from "../../pipeline/settings.ts";
import { sha256OfFile } from "../../pipeline/shards/config_hash.ts";
import { resolveTeacher } from "../../pipeline/stages/teacher.ts";

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
