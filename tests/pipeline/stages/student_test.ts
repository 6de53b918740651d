/** Where the encoder comes from that is fine-tuned: pre-trained with or without a teacher, or given by another run. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "node:path";
import { runChain } from "../../../pipeline/chain.ts";
import { exportRun } from "../../../pipeline/export.ts";
import { readMetrics } from "../../../pipeline/metrics.ts";
import { silentProgress } from "../../../pipeline/progress.ts";
import { resolveSettings, SettingsError } from "../../../pipeline/settings.ts";
import { readRecords } from "../../../pipeline/stage_log.ts";
import type { FinetuneResult } from "../../../pipeline/stages/finetune.ts";
import { finetuneStep } from "../../../pipeline/stages/programs.ts";
import { resolveStudent, withStudentSizes } from "../../../pipeline/stages/student.ts";
import { checkpointParameters } from "../../../pipeline/training/weights.ts";
import { inTempDir } from "../../decoders/_clips.ts";
import { tinyFlags } from "../_tiny_run.ts";

const of = (folder: string, flags: Record<string, string>) => {
  return resolveSettings({ preset: "demo", flags: { ...tinyFlags(folder), ...flags } });
};

/** Runs a chain and tells the names of its stages, and warnings. */
async function run(folder: string, flags: Record<string, string>) {
  const warnings: string[] = [];
  const { summary } = await runChain({
    resolved: of(folder, flags),
    command: ["pretrain-video"],
    signal: new AbortController().signal,
    progress: silentProgress,
    print: () => {},
    warn: (line) => void warnings.push(line),
  });
  return { stages: summary.stages.map(({ name }) => name), summary, warnings };
}

Deno.test("VideoMAE pre-trains without any teacher, and its student is fine-tuned on other clips, frames and sizes", () =>
  inTempDir(async (folder) => {
    const source = join(folder, "plain");
    const plain = await run(folder, { run: source, method: "videomae", until: "pretrain" });
    assertEquals(plain.stages, ["demo", "prepare", "pretrain"]);
    assertEquals(Object.keys(plain.summary.losses[0]!.losses), ["total", "pixel"]);

    // Sizes of the encoder come from its run; 8 frames of 24 pixels instead of 4 of 16.
    const other = {
      run: join(folder, "other"),
      student: source,
      frames: "8",
      "clip-frames": "8",
      size: "24",
      "demo-seed": "5",
      scratch: "false",
    };
    const transfer = await run(folder, other);
    assertEquals(transfer.stages, ["demo", "prepare", "finetune", "evaluate", "probe", "report"]);
    assertEquals([transfer.summary.accuracy!.scratch, transfer.warnings], [null, []]);
    assert(transfer.summary.accuracy!.student! >= 0);
    const page = await Deno.readTextFile(join(folder, "other", "report.html"));
    assertStringIncludes(page, "There is no run from random weights to compare the student with.");

    // The starting point is the other run's encoder: with a rate of 0 nothing moves but by decay of 0.
    const still = await run(folder, {
      ...other,
      run: join(folder, "still"),
      "finetune-base-lr": "0",
      "finetune-min-lr": "0",
      until: "finetune",
    });
    assertEquals(still.stages, ["demo", "prepare", "finetune"]);
    const record = readRecords(join(folder, "still", "stages.json")).find(({ name }) => name === "finetune")!;
    const { checkpoint } = (record.result as unknown as FinetuneResult).student;
    const { settings } = of(folder, { student: source });
    const { parameters } = finetuneStep(settings, 8, "f32");
    const encoder = parameters.filter(({ name }) => /^(?:patch_embed|blocks)\./.test(name));
    const given = await (await resolveStudent(settings, undefined)).parameters(parameters);
    assertEquals(await checkpointParameters(checkpoint, encoder), given);

    // A folder of the hub serves as well, and tells the same sizes.
    const hub = join(folder, "hub");
    await exportRun({ run: source, out: hub, to: "hf", engine: { engine: "tfjs", device: "cpu" }, warn: () => {} });
    assertEquals(
      await (await resolveStudent(of(folder, { student: hub }).settings, undefined)).parameters(parameters),
      given,
    );
    const bare = resolveSettings({ flags: { data: "list.csv", student: hub, size: "24" } });
    const told = (await withStudentSizes(bare)).settings;
    assertEquals([told.student.width, told.student.depth, told.student.heads], [16, 2, 2]);
    assertEquals([told.clip.patch, told.clip.tubelet], [8, 2]);

    // A file alone tells what its tensors tell, and not how many heads there are.
    const file = join(hub, "model.safetensors"), flags = { data: "list.csv", student: file, size: "24" };
    const shaped = (await withStudentSizes(resolveSettings({ flags: { ...flags, "student-heads": "4" } }))).settings;
    assertEquals([shaped.student.width, shaped.student.depth, shaped.student.heads], [16, 2, 4]);
    assertEquals([shaped.clip.patch, shaped.clip.tubelet], [8, 2]);
    await assertRejects(
      () => withStudentSizes(resolveSettings({ flags })),
      SettingsError,
      "--student-width is 16, which --student-heads 6 does not divide",
    );

    // What does not fit is named, with both shapes.
    const wide = of(folder, { student: join(hub, "model.safetensors"), "student-width": "24", "student-heads": "3" });
    const misfit = finetuneStep(wide.settings, 8, "f32").parameters;
    const error = await assertRejects(
      async () => (await resolveStudent(wide.settings, undefined)).parameters(misfit),
      TypeError,
    );
    assertStringIncludes(error.message, "[16, 3, 2, 8, 8]");
    assertStringIncludes(error.message, "[24, 384]");
    await assertRejects(
      () => withStudentSizes(resolveSettings({ flags: { data: "list.csv", student: source, size: "20" } })),
      SettingsError,
      "--size is 20, which --patch 8 does not divide",
    );
  }));

Deno.test("fixed masks train on the first epoch's in every epoch, one alignment alone is all that is left of both", () =>
  inTempDir(async (folder) => {
    const curve = async (name: string, flags: Record<string, string>) => {
      await run(folder, { run: join(folder, name), until: "pretrain", ...flags });
      return readMetrics(join(folder, name, "metrics.jsonl")).filter(({ stage }) => stage === "pretrain");
    };
    const [fresh, fixed] = [await curve("fresh", {}), await curve("fixed", { "student-masks": "fixed" })];
    // Two steps an epoch.
    assertEquals(fixed.slice(0, 2).map(({ loss }) => loss), fresh.slice(0, 2).map(({ loss }) => loss));
    assertNotEquals(fixed[2]!.loss, fresh[2]!.loss);
    const online = { "teacher-mode": "online", "teacher-masks": "fresh" };
    const both = await curve("both", online);
    assertEquals(both.length, fresh.length);
    assertNotEquals(both[0]!.loss, fresh[0]!.loss);
    assertThrows(() => of(folder, { "teacher-masks": "fresh" }), SettingsError, "take --teacher-mode online");
    assertThrows(() => of(folder, { ...online, "student-masks": "fixed" }), SettingsError, "cannot lie inside");
    const direct = await curve("direct", { "generation-weight": "0", "pretrain-epochs": "1" });
    assertEquals([direct[0]!["direct"], direct[0]!["generation"]], [fresh[0]!["direct"], undefined]);
    const state = await Deno.readTextFile(join(folder, "direct", "checkpoints", "step-00000002", "state.json"));
    assertEquals(JSON.parse(state).state.losses, ["total", "pixel", "direct", "gradNorm"]);
    assertThrows(
      () => of(folder, { "generation-weight": "0", "direct-weight": "0" }),
      SettingsError,
      "nothing to learn from the teacher: take --method videomae",
    );
  }));
