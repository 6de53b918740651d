/** The networks for pictures in a run: MAE's form from the demo's pictures to a classifier that other programs load. */
import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { runChain } from "../../pipeline/chain.ts";
import { ClipEncoder } from "../../pipeline/clip_encoder.ts";
import { exportRun } from "../../pipeline/export.ts";
import { silentProgress } from "../../pipeline/progress.ts";
import { resolveSettings } from "../../pipeline/settings.ts";
import { readRecords } from "../../pipeline/stage_log.ts";
import { inTempDir } from "../decoders/_clips.ts";
import { tfjsEngine } from "../models/_engines.ts";
import { tinyFlags } from "./_tiny_run.ts";

const of = (folder: string) =>
  resolveSettings({
    preset: "demo",
    flags: {
      ...tinyFlags(folder),
      "demo": "fashion-mnist",
      "train-clips": "20",
      "val-clips": "10",
      "form": "mae",
      "frames": "1",
      "tubelet": "1",
      "patch": "4",
      "pooling": "class",
      "teacher-epochs": "1",
      "pretrain-epochs": "1",
      "pretrain-warmup-epochs": "0",
      "finetune-epochs": "1",
      "scratch": "false",
    },
  });

async function run(folder: string) {
  const { summary } = await runChain({
    resolved: of(folder),
    command: ["pretrain-image"],
    signal: new AbortController().signal,
    progress: silentProgress,
    print: () => {},
    warn: () => {},
  });
  return summary;
}

Deno.test("pictures go from a teacher of their own to a classifier by class token, which the hub's ViT is", () =>
  inTempDir(async (folder) => {
    const summary = await run(folder);
    assertEquals(
      summary.stages.map(({ name, skipped }) => [name, skipped]),
      ["demo", "prepare", "train-teacher", "teach", "pretrain", "finetune", "evaluate", "probe", "report"]
        .map((name) => [name, false]),
    );
    assert(summary.accuracy!.student! >= 0);
    // A second call finds all done, the demo among it.
    const again = await run(folder);
    assertEquals(again.stages.filter(({ skipped }) => !skipped).map(({ name }) => name), []);

    const path = join(folder, "run"), out = join(folder, "vit"), engine = { engine: "tfjs" as const };
    const { comparisons } = await exportRun({ run: path, to: "hf", out, classifier: "student", engine });
    assertEquals(
      comparisons.filter(({ by }) => by.startsWith("the written")).map(({ clip, output }) => [clip, output]),
      [["random", "logits"], ["real", "logits"]],
    );
    // A picture's file, by the encoder of the folder.
    const demo = readRecords(join(path, "stages.json")).find(({ name }) => name === "demo")!.result as {
      folder: string;
    };
    await using encoder = await ClipEncoder.open(out, { engine: await tfjsEngine() });
    const { features, tokens } = await encoder.embedFile(join(demo.folder, "train", "000000.png"));
    assertEquals([encoder.form, features.length, tokens.length], ["mae", 16, 17 * 16]);
  }));
