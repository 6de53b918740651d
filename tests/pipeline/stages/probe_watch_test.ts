/** Probes in the middle of pre-training: they change nothing of it, come once an epoch however often a run dies, and are drawn. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { runChain } from "../../../pipeline/chain.ts";
import { silentProgress } from "../../../pipeline/progress.ts";
import { resolveSettings } from "../../../pipeline/settings.ts";
import type { StageResults } from "../../../pipeline/stages/chain_state.ts";
import { PROBES_FILE, ProbeWatch, readProbes } from "../../../pipeline/stages/probe_watch.ts";
import type { StageContext } from "../../../pipeline/stages/stage_context.ts";
import { readRecords } from "../../../pipeline/stage_log.ts";
import { inTempDir } from "../../decoders/_clips.ts";
import { tinyFlags } from "../_tiny_run.ts";

const QUICK = { method: "videomae", "finetune-epochs": "1", scratch: "false" };

/** Pre-trains in a run of its own, on the shards that all share; two steps an epoch, a checkpoint every three. */
async function pretrain(
  folder: string,
  name: string,
  flags: Record<string, string>,
  onPrint: (line: string, stop: () => void) => void = () => {},
) {
  const stopping = new AbortController();
  const stop = () => stopping.abort(new DOMException("stop", "AbortError"));
  const run = join(folder, name);
  await runChain({
    resolved: resolveSettings({ preset: "demo", flags: { ...tinyFlags(folder), ...QUICK, run, ...flags } }),
    command: ["pretrain-video"],
    signal: stopping.signal,
    progress: silentProgress,
    print: (line) => onPrint(line, stop),
    warn: () => {},
  });
  const records = readRecords(join(run, "stages.json"));
  return Object.fromEntries(records.map(({ name, result }) => [name, result])) as unknown as StageResults;
}

Deno.test("probes every other epoch leave the same weights as none, and the last says what the probe stage says", () =>
  inTempDir(async (folder) => {
    const printed: string[] = [];
    const plain = await pretrain(folder, "plain", { until: "pretrain" });
    const probed = await pretrain(folder, "probed", { "probe-epochs": "2" }, (line) => void printed.push(line));
    assertEquals(probed.pretrain!.sha256, plain.pretrain!.sha256);
    const lines = readProbes(join(folder, "probed", PROBES_FILE));
    assertEquals(lines.map(({ step, epochs, labelled, clips }) => [step, epochs, labelled, clips]), [
      [4, 2, 16, 8],
      [8, 4, 16, 8],
    ]);
    const { knn, linear } = lines[1]!;
    assertEquals({ knn, linear }, probed.probe!.student);
    assertEquals(printed.filter((line) => line.startsWith("Probe after epoch")).length, 2);
    const page = await Deno.readTextFile(join(folder, "probed", "report.html"));
    assertStringIncludes(page, "Validation clips that probes of the frozen features got right");
    const text = () => Deno.readTextFile(join(folder, "probed", PROBES_FILE));
    const before = await text();

    // Interrupted between two probes; then a kill that left half a line and a line behind its last checkpoint.
    const again = (stops: boolean) =>
      pretrain(folder, "again", { "probe-epochs": "2", until: "pretrain" }, (line, stop) => {
        if (stops && line.startsWith("Probe after epoch 2")) stop();
      });
    await assertRejects(() => again(true), DOMException, "stop");
    const path = join(folder, "again", PROBES_FILE);
    assertEquals(readProbes(path).map(({ step }) => step), [4]);
    await Deno.writeTextFile(path, '{"stage":"pretrain","step":8,"epochs":4,"knn":9}\n{"stage":"pre', { append: true });
    assertEquals((await again(false)).pretrain!.sha256, plain.pretrain!.sha256);
    assertEquals(await Deno.readTextFile(path), before);

    // One line missing at the last checkpoint: the kill came in the middle of the last probe.
    const stages = join(folder, "again", "stages.json");
    const records = JSON.parse(await Deno.readTextFile(stages));
    for (const record of records) if (record.name === "pretrain") Object.assign(record, { state: "failed" });
    await Deno.writeTextFile(stages, JSON.stringify(records));
    await Deno.writeTextFile(path, before.split("\n")[0] + "\n");
    await again(false);
    assertEquals(await Deno.readTextFile(path), before);
  }));

Deno.test("without labels it is said once, nothing is wanted, and lines of an earlier training go", () =>
  inTempDir(async (folder) => {
    const printed: string[] = [];
    const contextOf = (probeEpochs: string) => ({
      settings: resolveSettings({ preset: "demo", flags: { "probe-epochs": probeEpochs } }).settings,
      run: { file: (name: string) => join(folder, name) },
      print: (line: string) => void printed.push(line),
    } as unknown as StageContext);
    {
      using watch = new ProbeWatch(contextOf("1"), undefined, 2);
      watch.begin(0);
      assertEquals([2, 4, 6].map((step) => watch.wants(step)), [false, false, false]);
    }
    assertEquals(printed.length, 1);
    assertStringIncludes(printed[0]!, "No probes while pre-training");
    assertEquals([...Deno.readDirSync(folder)], []);

    await Deno.writeTextFile(join(folder, PROBES_FILE), '{"stage":"pretrain","step":2,"epochs":1,"knn":"NaN"}\n');
    assert(Number.isNaN(readProbes(join(folder, PROBES_FILE))[0]!.knn));
    {
      using watch = new ProbeWatch(contextOf("0"), undefined, 2);
      watch.begin(0);
    }
    assertEquals([printed.length, readProbes(join(folder, PROBES_FILE))], [1, []]);
  }));
