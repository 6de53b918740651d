/**
 * Is distillation worth it? Trains one small student on the embedded demo from scratch, with VideoMAE, and with AMD in
 * several ways, with equal clips, steps and fine-tuning, through `deno task pretrain-video` as a user would. With
 * `--pictures` the same on the demo of pictures, through `deno task pretrain-image`, MAE in the place of VideoMAE.
 *
 *     deno task evidence [--pictures] [--seeds 3] [--quick] [--ablate] [--out runs/evidence] [-- FLAGS FOR EVERY RUN]
 *
 * Each seed has its own teacher, trained once for all its arms, and its own cached features. `--quick` is one seed;
 * `--ablate` adds arms with one thing changed, of the first seed. What is done is found again: a call that was stopped goes
 * on. Prints a Markdown table and writes it with the numbers of every run to OUT/evidence.md and OUT/evidence.json.
 *
 * Reckoned for two quiet cores without AVX-512: 15 minutes a seed, 35 more for the ablations.
 */
import { parseArgs } from "@std/cli/parse-args";
import os from "node:os";
import { join, resolve } from "node:path";
import { CheckpointFolder } from "../pipeline/checkpoint_folder.ts";
import { resolveSettings } from "../pipeline/settings.ts";
import { armRows, type ArmRun, difference, differenceLine, markdownTable } from "./_evidence_table.ts";

/** Flags of a run by name. */
type Flags = Readonly<Record<string, string>>;

/** Names that the sentences below the table use. */
const SCRATCH = "from scratch", VIDEOMAE = "VideoMAE", MAE = "MAE", CACHED = "AMD, cached, fresh masks";
const FIXED = "AMD, cached, fixed masks", ONLINE = "AMD, online, all masks fresh";

/** What is trained on: task and preset, how each arm differs, and where the numbers go. Scratch comes with the first arm. */
const DEMOS = {
  video: {
    task: "pretrain-video",
    preset: "demo",
    of: "clips",
    out: "runs/evidence",
    pixels: VIDEOMAE,
    arms: {
      [VIDEOMAE]: { method: "videomae" },
      [CACHED]: {},
      [FIXED]: { "student-masks": "fixed" },
      [ONLINE]: { "teacher-mode": "online", "teacher-masks": "fresh" },
    },
  },
  pictures: {
    task: "pretrain-image",
    preset: "image-demo",
    of: "pictures",
    out: "runs/evidence-pictures",
    pixels: MAE,
    arms: { [MAE]: { method: "videomae" }, [CACHED]: {} },
  },
} as const;

const SCALES = { crop: "multi-scale" };
/**
 * One thing changed at a time, in the demo of clips. The last ones differ in crops from the others and are a comparison by
 * themselves.
 */
const ABLATIONS: Readonly<Record<string, Flags>> = {
  "direct alignment alone": { "generation-weight": "0" },
  "generation alignment alone": { "direct-weight": "0" },
  "parallel alignment": { alignment: "parallel" },
  "raw targets": { "normalize-targets": "false" },
  "last level alone": { "student-layers": "4", "teacher-layers": "6" },
  "teacher sees 12 of 16 positions": { "teacher-ratio": "0.25" },
  "student sees 2 of 16 positions": { "student-ratio": "0.875" },
  "crops of several scales, 1 view": { ...SCALES },
  "crops of several scales, 2 views": { ...SCALES, views: "2" },
  "crops of several scales, 4 views": { ...SCALES, views: "4" },
};

/** The last line of `--json`, as far as it is needed. */
interface Summary {
  readonly accuracy: { readonly student: number; readonly scratch: number | null };
  readonly probe: { readonly knn: number; readonly linear: number; knnScratch: number; linearScratch: number };
  readonly stages: readonly { readonly name: string; readonly seconds: number }[];
}

const args = parseArgs(Deno.args, {
  string: ["seeds", "out", "cache"],
  boolean: ["pictures", "quick", "ablate", "help"],
  default: { seeds: "3" },
  "--": true,
  unknown: (word) => {
    console.error(`${word} is not known: see --help`);
    Deno.exit(2);
  },
});
if (args.help) {
  console.log(
    "deno task evidence [--pictures] [--seeds 3] [--quick] [--ablate] [--out FOLDER] [--cache FOLDER] " +
      "[-- FLAGS FOR EVERY RUN]",
  );
  Deno.exit(0);
}
const seeds = args.quick ? 1 : Number(args.seeds);
if (!Number.isSafeInteger(seeds) || seeds < 1) {
  console.error(`--seeds needs a whole number of at least 1, found ${args.seeds}`);
  Deno.exit(2);
}
if (args.pictures && args.ablate) {
  console.error("--ablate changes switches of the demo of clips: leave --pictures out");
  Deno.exit(2);
}
const demo = DEMOS[args.pictures ? "pictures" : "video"];
const out = resolve(args.out ?? demo.out), cache = resolve(args.cache ?? join(out, "cache")), extra = args["--"] ?? [];
const runs: ArmRun[] = [];
for (let seed = 0; seed < seeds; seed++) {
  const teacher = await trainedTeacher(seed);
  const arms = Object.entries<Flags>({ ...demo.arms, ...(args.ablate && seed === 0 ? ABLATIONS : {}) });
  for (const [arm, flags] of arms) {
    const isPlain = flags["method"] !== undefined;
    const run = await runTask(seed, arm, { ...flags, ...(isPlain ? {} : { teacher, scratch: "false" }) });
    const time = (stage: string) => run.stages.find(({ name }) => name === stage)?.seconds ?? null;
    const { knn, linear, knnScratch, linearScratch } = run.probe, { student, scratch } = run.accuracy;
    const none = { pretrainSeconds: null, teachSeconds: null };
    if (isPlain) runs.push({ arm: SCRATCH, seed, top1: scratch!, linear: linearScratch, knn: knnScratch, ...none });
    const times = { pretrainSeconds: time("pretrain"), teachSeconds: time("teach") };
    runs.push({ arm, seed, top1: student, linear, knn, ...times });
    await write();
  }
}
console.log(await Deno.readTextFile(join(out, "evidence.md")));

/** Trains the teacher of a seed. @returns The file of its weights. */
async function trainedTeacher(seed: number): Promise<string> {
  const folder = join(out, `seed-${seed}`, "teacher");
  await runTask(seed, "teacher", { until: "train-teacher" });
  const checkpoint = await new CheckpointFolder(join(folder, "checkpoints", "train-teacher"), 1, console.error)
    .latest();
  return join(checkpoint!.path, "model.safetensors");
}

/** Runs the chain in a process of its own, as the task does; what is done already takes a moment. */
async function runTask(seed: number, arm: string, flags: Flags): Promise<Summary> {
  const began = performance.now(), run = join(out, `seed-${seed}`, arm.replaceAll(/[^a-z0-9]+/gi, "-").toLowerCase());
  const words = (flags: Flags) =>
    Object.entries(flags).map(([flag, value]) => value === "false" ? `--no-${flag}` : `--${flag}=${value}`);
  const all = [...words({ preset: demo.preset, run, cache, seed: String(seed) }), ...extra, ...words(flags)];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", demo.task, ...all, "--quiet", "--json"],
    cwd: new URL("..", import.meta.url),
    stdout: "piped",
    stderr: "inherit",
  });
  const { code, stdout } = await child.output();
  const last = new TextDecoder().decode(stdout).trim().split("\n").at(-1)!;
  if (code !== 0) {
    console.error(`seed ${seed}, ${arm}: exit code ${code}; the same command goes on from here`);
    Deno.exit(code);
  }
  console.error(`seed ${seed}, ${arm}: done, ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return JSON.parse(last);
}

/** Writes what is known so far. */
async function write(): Promise<void> {
  const rows = armRows(runs);
  const others = [SCRATCH, demo.pixels, FIXED, ONLINE];
  const pairs = [[demo.pixels, SCRATCH] as const, ...others.map((other) => [CACHED, other] as const)];
  const said = pairs.flatMap(([first, second]) => {
    const found = difference(runs, first, second);
    return found ? [`- ${differenceLine(first, second, found)}`] : [];
  });
  const { preset, of } = demo, { settings } = resolveSettings({ preset, flags: {} });
  const { demo: { trainClips, valClips }, finetune, pretrain } = settings;
  const what = extra.length > 0
    ? `The demo of ${of} with ${extra.join(" ")}.`
    : `The demo: ${trainClips} ${of}, ${pretrain.epochs} epochs of pre-training, fine-tuned on ${finetune.labelled} labelled ` +
      `${of}, ${valClips} validation ${of}. ± is the standard deviation over seeds. Arms of one seed share their cached ` +
      "features, which the first of them makes.";
  await Deno.mkdir(out, { recursive: true });
  const machine = {
    date: new Date().toISOString(),
    deno: Deno.version.deno,
    target: Deno.build.target,
    processor: os.cpus()[0]?.model ?? "unknown",
    cores: os.availableParallelism(),
  };
  await Deno.writeTextFile(
    join(out, "evidence.json"),
    JSON.stringify({ machine, flags: extra, rows, runs }, null, 2) + "\n",
  );
  await Deno.writeTextFile(join(out, "evidence.md"), [what, "", markdownTable(rows), "", ...said, ""].join("\n"));
}
