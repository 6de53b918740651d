/** Evaluation and probes of a tiny run with six views of a validation clip, beside what the networks say by hand. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { initialParameters } from "../../../models/parameters.ts";
import { runChain } from "../../../pipeline/chain.ts";
import { standardized } from "../../../pipeline/probe/features.ts";
import { fitLinearProbe, linearAccuracy } from "../../../pipeline/probe/linear_probe.ts";
import { neighbourAccuracy } from "../../../pipeline/probe/nearest_neighbours.ts";
import { silentProgress } from "../../../pipeline/progress.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { resolveSettings, type Settings } from "../../../pipeline/settings.ts";
import { openFramesSet } from "../../../pipeline/shards/frame_shards.ts";
import { readRecords } from "../../../pipeline/stage_log.ts";
import type { StageResults } from "../../../pipeline/stages/chain_state.ts";
import { evaluate, type EvaluateData } from "../../../pipeline/stages/evaluate.ts";
import { itemLabels } from "../../../pipeline/stages/prepare_splits.ts";
import { classification, probedFeatures } from "../../../pipeline/stages/programs.ts";
import type { StageContext } from "../../../pipeline/stages/stage_context.ts";
import { Network } from "../../../pipeline/training/network.ts";
import { checkpointParameters, encoderParameters } from "../../../pipeline/training/weights.ts";
import { inTempDir } from "../../decoders/_clips.ts";
import { tfjsEngine } from "../../models/_engines.ts";
import { tinyFlags } from "../_tiny_run.ts";

/** An evaluation that ends in the middle of a clip goes on, classifies nothing twice and comes to the same files. */
async function goesOnAfterAnEnd(folder: string, settings: Settings, data: EvaluateData) {
  const again = join(folder, "again"), seen: number[] = [];
  await Deno.mkdir(again);
  const evaluated = (end: AbortController, endAt: number) => {
    const bar = (from: number) => ({
      update: (done: number) => {
        seen.push(done - from);
        from = done;
        if (done >= endAt) end.abort(new DOMException("stop", "AbortError"));
      },
      [Symbol.dispose]: () => {},
    });
    const context = {
      settings,
      run: { file: (name: string) => join(again, name) },
      engine: tfjsEngine,
      signal: end.signal,
      progress: { begin: (_name: string, _total: number, _unit: string, { from = 0 } = {}) => bar(from) },
    };
    return evaluate(context as unknown as StageContext, data, "identity");
  };
  // Batches of 8 views, clips of 6: one batch makes one clip and a part of the next.
  await assertRejects(() => evaluated(new AbortController(), 5), DOMException, "stop");
  assertEquals(seen, [1, 1, 2, 1]);
  const journal = join(again, "evaluate-student.journal");
  const lines = (await Deno.readTextFile(journal)).trim().split("\n");
  assertEquals(lines.length, 1 + 5);
  // A line that a crash tore is not taken for one: three clips are left, which end within the third batch.
  await Deno.writeTextFile(journal, [...lines.slice(0, 4), lines[4]!.slice(0, -3)].join("\n"));
  seen.length = 0;
  await evaluated(new AbortController(), Infinity);
  assertEquals(seen.reduce((sum, clips) => sum + clips), 2 * CLIPS - 3);
  const files = ["student", "scratch"].flatMap((which) => [`predictions-${which}.csv`, `per-class-${which}.csv`]);
  assertEquals(Array.from(Deno.readDirSync(again), ({ name }) => name).sort(), files.toSorted());
  for (const name of files) {
    assertEquals(await Deno.readTextFile(join(again, name)), await Deno.readTextFile(join(folder, "run", name)), name);
  }
}

const VIEWS = 6;
/** Validation clips: enough for another view to give another accuracy. */
const CLIPS = 24;

Deno.test("a clip's class is that of the mean over its six views, and probes look at the middle one", () =>
  inTempDir(async (folder) => {
    // More frames than a view has, so that the segments differ.
    const flags = {
      ...tinyFlags(folder),
      "clip-frames": "9",
      "val-clips": String(CLIPS),
      "eval-segments": "2",
      "eval-crops": "3",
    };
    const resolved = resolveSettings({ preset: "demo", flags });
    const { summary } = await runChain({
      resolved,
      command: ["pretrain-video"],
      signal: new AbortController().signal,
      progress: silentProgress,
      print: () => {},
      warn: () => {},
    });
    const records = readRecords(join(folder, "run", "stages.json"));
    const results = Object.fromEntries(records.map(({ name, result }) => [name, result])) as unknown as StageResults;
    const { prepare, pretrain, finetune, probe } = results;
    using val = openFramesSet(prepare!.val!.folder);
    using train = openFramesSet(prepare!.train.folder);
    assertEquals([val.config.views, val.rows, train.config.views], [VIEWS, CLIPS * VIEWS, 1]);
    assertEquals(summary.accuracy!.kind, "top-1 after fine-tuning, mean of 6 views");

    const engine = await tfjsEngine(), labels = itemLabels(val);
    const output = async (network: Network, frames: typeof val, rows: number[], name: string) => {
      const found: number[][] = [];
      for await (const batch of network.infer({ frames, rows, batch: 8 })) {
        const values = batch.outputs.get(name) as Float32Array, width = values.length / 8;
        batch.rows.forEach((_, i) => found.push([...values.subarray(i * width, (i + 1) * width)]));
      }
      return found;
    };

    const forward = classification(resolved.settings, 8, "f32");
    using classifier = await Network.load(
      engine,
      forward,
      await checkpointParameters(finetune!.student.checkpoint, forward.parameters),
    );
    const logits = await output(classifier, val, [...Array(val.rows).keys()], "logits");
    assert(logits[0]!.some((logit, c) => logit !== logits[3]![c]), "the segments show the same");
    const means = Array.from({ length: CLIPS }, (_, item) => {
      const views = logits.slice(item * VIEWS, (item + 1) * VIEWS).map((view) => {
        const powers = view.map(Math.exp), sum = powers.reduce((a, b) => a + b);
        return powers.map((power) => power / sum);
      });
      return views[0]!.map((_, c) => views.reduce((sum, view) => sum + view[c]!, 0) / VIEWS);
    });
    const best = means.map((mean) => mean.indexOf(Math.max(...mean)));
    assertEquals(summary.accuracy!.student, best.filter((c, item) => c === labels[item]).length / CLIPS);
    const lines = (await Deno.readTextFile(join(folder, "run", "predictions-student.csv"))).trim().split("\n").slice(1);
    assertEquals(lines.length, CLIPS);
    const isWithin = lines.map((line) => line.split(",")).map(
      ([clip, label, prediction, probability, own, five], i) => {
        assertEquals([clip!.startsWith("val/"), Number(label), Number(prediction)], [true, labels[i], best[i]]);
        assertAlmostEquals(Number(probability), means[i]![best[i]!]!, 6e-5);
        assertAlmostEquals(Number(own), means[i]![labels[i]!]!, 6e-5);
        const order = [...means[i]!.keys()].sort((a, b) => means[i]![b]! - means[i]![a]!);
        assertEquals(five!.split(" ").map(Number), order.slice(0, 5));
        return order.slice(0, 5).includes(labels[i]!);
      },
    );
    const top5 = isWithin.filter(Boolean).length / CLIPS;
    assertEquals(summary.accuracy!.top5!.student, top5);
    assert(top5 > summary.accuracy!.student! && top5 < 1);
    const classes = (await Deno.readTextFile(join(folder, "run", "per-class-student.csv"))).trim().split("\n");
    assertEquals(classes[0], "class,clips,top-1,top-5");
    assertEquals(classes.slice(1).reduce((sum, line) => sum + Number(line.split(",")[1]), 0), CLIPS);

    await goesOnAfterAnEnd(folder, resolved.settings, {
      frames: val,
      labels,
      classes: prepare!.classes,
      student: finetune!.student.checkpoint,
      scratch: finetune!.scratch!.checkpoint,
    });

    const pooled = probedFeatures(resolved.settings, "f32");
    using encoder = await Network.load(
      engine,
      pooled,
      await encoderParameters(pretrain!.checkpoint, pooled.parameters),
    );
    const features = async (frames: typeof val, view: number) => {
      const items = [...frames.goodItems()], all = itemLabels(frames);
      const found = await output(encoder, frames, items.map((item) => item * frames.config.views + view), "features");
      return { values: Float32Array.from(found.flat()), width: 16, labels: Int32Array.from(items, (i) => all[i]!) };
    };
    const probes = async () => {
      // Segment 1 of 2, crop 1 of 3.
      const scaled = standardized(await features(train, 0), await features(val, 4));
      return {
        knn: await neighbourAccuracy(scaled.train, scaled.val, 8),
        linear: linearAccuracy(scaled.val, 8, await fitLinearProbe(scaled.train, 8)),
      };
    };
    assertEquals([probe!.labelled, probe!.clips, probe!.classes], [16, CLIPS, 8]);
    assertEquals(probe!.student, await probes());
    encoder.setParameters(initialParameters(
      pooled.parameters,
      (count, name) => uniforms(count, resolved.settings.run.seed, "classifier start", name),
    ));
    assertEquals(probe!.scratch, await probes());
    assertEquals(summary.probe, {
      knn: probe!.student.knn,
      linear: probe!.student.linear,
      knnScratch: probe!.scratch.knn,
      linearScratch: probe!.scratch.linear,
      chance: 1 / 8,
    });
    assert(summary.accuracy!.others.some(({ accuracy }) => accuracy === probe!.student.linear));
  }));
