/**
 * Other programs read the shards: the code in `docs/shards.md` is run with h5py, on files that were written here. Needs a
 * python3 with h5py, or its path in TUBELET_PYTHON; skipped with a message otherwise.
 */
import { assertEquals } from "@std/assert";
import { layOut } from "../../../pipeline/shards/hdf5_layout.ts";
import { createFramesSet, FrameShardWriter } from "../../../pipeline/shards/frame_shards.ts";
import {
  CODED_TEACHER,
  codedOf,
  cubesOf,
  featuresOf,
  featuresSet,
  FRAMES,
  framesSet,
  inTempDir,
  maskOf,
  nameOf,
  viewOf,
} from "./_sets.ts";

const PYTHON = Deno.env.get("TUBELET_PYTHON") ?? "python3";

function haveH5py(): boolean {
  try {
    const { success } = new Deno.Command(PYTHON, { args: ["-c", "import h5py"], stderr: "null" }).outputSync();
    if (success) return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  console.log(`(tests with h5py are skipped: ${PYTHON} has none; TUBELET_PYTHON names another python)`);
  return false;
}

const ignore = !haveH5py();

/** Runs Python code after the blocks of the page; returns what it prints as JSON. */
function python(code: string): unknown {
  const page = Deno.readTextFileSync(new URL("../../../docs/shards.md", import.meta.url));
  const blocks = [...page.matchAll(/```python\n(.*?)```/gs)].map((match) => match[1]);
  assertEquals(blocks.length, 2);
  const { success, stdout, stderr } = new Deno.Command(PYTHON, {
    args: ["-c", ["import json, sys, numpy", ...blocks, code].join("\n")],
  }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  name: "the page's Python reads every good row of a feature set with its clip, mask and values",
  ignore,
  fn: () =>
    inTempDir(async (cache) => {
      using frames = await framesSet(cache, [3, 8]);
      using set = await featuresSet(cache, frames);
      const read = python(`
out = [[int(i), int(v), m.tolist(), [[str(x.dtype), list(x.shape), x.ravel().tolist()] for x in levels]]
       for i, v, m, levels in rows(${JSON.stringify(set.folder)})]
print(json.dumps(out))`);
      const expected = [0, 1, 2, 4, 5, 6, 7, 9].map((row) => [row, 0, maskOf(row), [
        ["float16", [6, 4], [...featuresOf(row, 0)]],
        ["float16", [6, 2], [...featuresOf(row, 1)]],
      ]]);
      assertEquals(read, expected);
    }),
});

Deno.test({
  name: "the page's Python turns bytes back into features with the scale and offset of their token",
  ignore,
  fn: () =>
    inTempDir(async (cache) => {
      using frames = await framesSet(cache, [3, 8]);
      using set = await featuresSet(cache, frames, CODED_TEACHER);
      const read = python(`
out = [[int(i), [[str(x.dtype), list(x.shape), x.ravel().tolist()] for x in levels]]
       for i, v, m, levels in rows(${JSON.stringify(set.folder)})]
print(json.dumps(out))`);
      const values = (row: number, level: number) => {
        const { codes, scales } = codedOf(row, level), width = [4, 2][level]!;
        const of = (i: number) => 2 * Math.floor(i / width);
        return ["float32", [6, width], Array.from(codes, (code, i) => code * scales[of(i)]! + scales[of(i) + 1]!)];
      };
      assertEquals(read, [0, 1, 2, 4, 5, 6, 7, 9].map((row) => [row, [values(row, 0), values(row, 1)]]));
    }),
});

Deno.test({
  name: "h5py reads a frame shard: attributes, cubes, tables, names, and offsets equal to the sidecar's",
  ignore,
  fn: () =>
    inTempDir(async (cache) => {
      using set = await framesSet(cache, [5]);
      const read = python(`
f = h5py.File(${JSON.stringify(set.path(1))})
a = f.attrs
utf8, at = f["names/utf8"][:].tobytes(), f["names/offset"][:]
offsets = {}
f.visititems(lambda name, d: offsets.update({"/" + name: d.id.get_offset()}) if isinstance(d, h5py.Dataset) else None)
text = lambda v: v.decode() if isinstance(v, bytes) else str(v)
print(json.dumps({
  "attributes": [text(a[k]) for k in ("schema", "dataset", "split", "stage", "config_sha256")],
  "numbers": [int(a[k]) for k in ("shard", "shards", "row0", "rows")],
  "grid": f["cubes"].attrs["grid"].tolist(), "dtype": str(f["cubes"].dtype),
  "cubes": f["cubes"][:].tolist(),
  "status": f["index/status"][:].tolist(), "label": f["index/label"][:].tolist(),
  "frame": f["index/frame"][:].tolist(), "pts": f["index/pts_us"][:].tolist(),
  "crop": f["index/crop"][:].tolist(), "size": f["index/source_size"][:].tolist(),
  "names": [utf8[at[i]:at[i + 1]].decode() for i in range(4)],
  "config": json.loads(f["meta/config"][:].tobytes()), "offsets": offsets}))`) as Record<string, unknown>;
      const good = [4, 6, 7], views = new Map(good.map((row) => [row, viewOf(row)]));
      const perRow = <T>(of: (row: number) => T, failed: T) => [4, 5, 6, 7].map((row) => row === 5 ? failed : of(row));
      const cubes = (row: number) =>
        Array.from({ length: 8 }, (_, t) => [...cubesOf(row).subarray(t * 12, t * 12 + 12)]);
      const zeros = Array.from({ length: 8 }, () => Array(12).fill(0));
      assertEquals(read, {
        attributes: ["tubelet-frames/1", "test", "train", "frames", set.configSha256],
        numbers: [1, 3, 4, 4],
        grid: [2, 2, 2],
        dtype: "uint8",
        cubes: perRow(cubes, zeros),
        status: [0, 2, 0, 0],
        label: perRow((row) => views.get(row)!.label ?? -1, 5),
        frame: perRow((row) => [...views.get(row)!.frames], [0, 0]),
        pts: perRow((row) => [...views.get(row)!.ptsUs].map(Number), [0, 0]),
        crop: perRow((row) => Object.values(views.get(row)!.crop), [0, 0, 0, 0]),
        size: perRow((): number[] => [48, 70_000], [0, 0]),
        names: [4, 5, 6, 7].map(nameOf),
        config: JSON.parse(JSON.stringify(set.config)),
        offsets: Object.fromEntries(
          Object.entries(set.sidecar(1).datasets).map(([path, { offset }]) => [path, offset]),
        ),
      });
    }),
});

Deno.test({
  name: "the page's Python turns cubes back into pictures",
  ignore,
  fn: () =>
    inTempDir(async (cache) => {
      // Two frames of 4 x 4 pixels in cubes of 1 x 2 x 2: every value tells frame, y, x and channel.
      const cubes = new Uint8Array(96),
        picture = (t: number, y: number, x: number, c: number) => t * 48 + y * 12 + x * 3 + c;
      let at = 0;
      for (const t of [0, 1]) {
        for (const row of [0, 1]) {
          for (const column of [0, 1]) {
            for (const y of [0, 1]) {
              for (const x of [0, 1]) {
                for (const c of [0, 1, 2]) cubes[at++] = picture(t, row * 2 + y, column * 2 + x, c);
              }
            }
          }
        }
      }
      using set = createFramesSet(cache, { ...FRAMES, items: 1 });
      using writer = new FrameShardWriter(set, 0, ["a"]);
      writer.write(0, { ...viewOf(0), cubes });
      await writer.seal();
      const read = python(`
f = h5py.File(${JSON.stringify(set.path(0))})
p = pictures(f["cubes"][0], f["cubes"].attrs["grid"], f["cubes"].attrs["cube"])
print(json.dumps([list(p.shape), p.ravel().tolist()]))`);
      assertEquals(read, [[2, 4, 4, 3], Array.from({ length: 96 }, (_, i) => i)]);
    }),
});

Deno.test({
  name: "h5py refuses a file that is still open in its writer",
  ignore,
  fn: () =>
    inTempDir((folder) => {
      const path = `${folder}/open.h5`, layout = layOut({ children: { x: { dtype: "u8", shape: [3] } } });
      const bytes = new Uint8Array(layout.fileBytes);
      const opens = (open: boolean) => {
        bytes.set(layout.metadata(open));
        Deno.writeFileSync(path, bytes);
        return python(`
try:
    h5py.File(${JSON.stringify(path)}).close()
    print("true")
except OSError:
    print("false")`);
      };
      assertEquals([opens(true), opens(false)], [false, true]);
    }),
});
