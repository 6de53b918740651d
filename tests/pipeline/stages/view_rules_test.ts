/** Which views of a clip are stored: those of the official test protocols, and one view alone as ever. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { planCrop } from "../../../decoders/crops.ts";
import { sampleFrames } from "../../../decoders/sampling.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";
import { configHash } from "../../../pipeline/shards/config_hash.ts";
import { frameFormat } from "../../../pipeline/shards/frame_format.ts";
import { framesConfig } from "../../../pipeline/stages/prepare.ts";
import { validation } from "../../../pipeline/stages/prepare_splits.ts";
import { middleView, rulesOfViews } from "../../../pipeline/stages/view_rules.ts";
import { goldenJson } from "../../decoders/_golden.ts";

interface Crops {
  width: number;
  height: number;
  short_side: number;
  crops: { top: number; left: number }[];
}
interface Golden {
  rules: {
    [test: `test-${string}x3`]: { segments: number; rows: { frames: number; views: number[][] }[] };
    "test-crops": { rows: Crops[] };
    "test-order": { example_3_videos_2x3: [segment: number, crop: number, video: number][] };
  };
}

const { rules: golden } = await goldenJson<Golden>("sampling.json");

const viewsOf = (flags: Record<string, string>, preset = "demo") => {
  const data = preset === "demo" ? {} : { data: "list.csv" };
  return rulesOfViews(validation(resolveSettings({ preset, flags: { ...data, ...flags } }).settings));
};

for (const [preset, test] of [["k400-vit-s", "test-k400-5x3"], ["ssv2-vit-b", "test-ssv2-2x3"]] as const) {
  Deno.test(`${preset} stores the frames and crops of the official ${test}, in its order`, () => {
    const views = viewsOf({}, preset);
    const { segments, rows } = golden[test]!;
    assertEquals(views.length, segments * 3);
    for (const { frames, views: expected } of rows) {
      views.forEach(({ sampling }, view) => {
        assertEquals([...sampleFrames(sampling, frames, [])], expected[Math.floor(view / 3)], `${frames}, ${view}`);
      });
    }
    for (const { width, height, short_side: side, crops } of golden["test-crops"].rows) {
      views.forEach(({ crop }, view) => {
        const { top, left } = planCrop(crop, width, height, side, []);
        assertEquals([top, left], [crops[view % 3]!.top, crops[view % 3]!.left], `${width} x ${height}, ${view}`);
      });
    }
  });
}

Deno.test("views are numbered segment after segment, crop after crop", () => {
  const order = golden["test-order"].example_3_videos_2x3.filter(([, , video]) => video === 0);
  const found = viewsOf({}, "ssv2-vit-s").map(({ sampling, crop }) => [
    "segment" in sampling ? sampling.segment : undefined,
    crop.kind === "three-crop" ? crop.position : undefined,
  ]);
  assertEquals(found, order.map(([segment, crop]) => [segment, crop]));
});

Deno.test("more segments without crops look at the centre, two crops at the ends, and the middle is in the middle", () => {
  const segments = viewsOf({ "eval-segments": "2" });
  assertEquals(segments.map(({ crop }) => crop.kind), ["centre", "centre"]);
  assertEquals(segments.map(({ sampling }) => sampling.kind), ["segments-ssv2", "segments-ssv2"]);
  const ends = viewsOf({ "eval-crops": "2" });
  assertEquals(ends.map(({ crop }) => crop), [{ kind: "three-crop", position: 0 }, {
    kind: "three-crop",
    position: 2,
  }]);
  // One segment of a repeatable rule is that rule.
  assertEquals(ends.map(({ sampling }) => sampling), Array(2).fill({ kind: "uniform", frames: 8 }));
  const middle = [[1, 1], [1, 3], [5, 3], [5, 1]].map(([segments, crops]) =>
    middleView({ segments: segments!, crops: crops! })
  );
  assertEquals(middle, [0, 1, 7, 2]);
});

Deno.test("pictures cropped as MAE does are tested on the inner centre, others on the whole middle square", () => {
  assertEquals(viewsOf({}, "imagenet-vit-s"), [{
    sampling: { kind: "uniform", frames: 1 },
    crop: { kind: "inner-centre" },
    size: 224,
    tubelet: 1,
    patch: 16,
  }]);
  assertEquals(viewsOf({}, "image-demo").map(({ crop }) => crop.kind), ["centre"]);
});

Deno.test("one view of a validation clip has the hash it had before tests had several", () => {
  const list = {
    clips: Array.from({ length: 1000 }, (_, i) => ({ name: String(i), path: String(i), label: 0 })),
    sha256: "f1624124b13a6989a15dfcfef439ac52573a3eecaa8bb1a6d47a63d2fce78323",
    format: "videomae",
  };
  const hashOf = (flags: Record<string, string>) => {
    const { settings } = resolveSettings({ preset: "demo", flags });
    return configHash(frameFormat.parse(framesConfig(list, "val", validation(settings))));
  };
  assertEquals(hashOf({}), "f7a50c2fae4ed2f0f0d70defa82aa48cc3ffa59c939a1a9026a7fd5d9b0b4b1b");
  const several = [{ "eval-segments": "6" }, { "eval-segments": "2", "eval-crops": "3" }, {
    "eval-segments": "3",
    "eval-crops": "2",
  }].map(hashOf);
  assertEquals(new Set(several).size, 3);
  assertNotEquals(several[0], hashOf({}));
});
