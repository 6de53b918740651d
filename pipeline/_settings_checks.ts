/**
 * Combinations of settings that cannot work, found before any work begins. Each value alone has been checked by then.
 * What depends on the data (batch against number of clips) or on a file (teacher weights) is checked where it is read.
 */
import type { Settings } from "./_settings_schema.ts";
import { FASHION_MOST } from "../decoders/lists/_fashion_pictures.ts";
import { STAGES } from "./_setting_fields.ts";

/** How many positions of one frame each network sees. */
interface MaskCounts {
  positions: number;
  studentVisible: number;
  /** Seen by the teacher, hidden from the student: the targets of generation. */
  teacherOnly: number;
}

/** The counts of the tube masks: hidden = floor(ratio * positions), as in the official generator. */
function maskCounts({ clip, masks }: Settings): MaskCounts {
  const positions = Math.floor(clip.size / clip.patch) ** 2;
  const studentHidden = Math.floor(masks.studentRatio * positions);
  const teacherHidden = Math.floor(masks.teacherRatio * positions);
  return { positions, studentVisible: positions - studentHidden, teacherOnly: studentHidden - teacherHidden };
}

/** One sentence for each combination that cannot work. */
export function impossibleCombinations(settings: Settings): string[] {
  return [
    ...divisions(settings),
    ...formProblems(settings),
    ...maskProblems(settings),
    ...alignmentProblems(settings),
    ...trainingProblems(settings),
    ...augmentationProblems(settings),
    ...runProblems(settings),
    ...deviceProblems(settings),
  ];
}

function divisions({ clip, student, teacher }: Settings): string[] {
  const pairs: [string, number, string, number][] = [
    ["--size", clip.size, "--patch", clip.patch],
    ["--frames", clip.frames, "--tubelet", clip.tubelet],
    ["--student-width", student.width, "--student-heads", student.heads],
    ["--student-decoder-width", student.decoderWidth, "--student-decoder-heads", student.decoderHeads],
    ["--teacher-width", teacher.width, "--teacher-heads", teacher.heads],
    ["--teacher-decoder-width", teacher.decoderWidth, "--teacher-decoder-heads", teacher.decoderHeads],
  ];
  return pairs.filter(([, whole, , part]) => whole % part !== 0)
    .map(([flag, whole, by, part]) => `${flag} is ${whole}, which ${by} ${part} does not divide`);
}

/** What the networks for pictures need. */
function formProblems({ clip, finetune, pretrain, student, teacher }: Settings): string[] {
  if (clip.form === "videomae") {
    return finetune.pooling === "class" ? ["--pooling class needs the class token of --form mae"] : [];
  }
  const problems: string[] = [];
  if (clip.frames !== clip.tubelet) {
    problems.push(
      `--form mae sees pictures, one cube deep: found --frames ${clip.frames} and --tubelet ${clip.tubelet}, take 1 and 1`,
    );
  }
  const learns = student.weights === null, isTaught = learns && pretrain.method === "amd";
  const widths: [string, number, boolean][] = [
    ["--student-width", student.width, true],
    ["--student-decoder-width", student.decoderWidth, learns],
    ["--teacher-width", teacher.width, isTaught],
    ["--teacher-decoder-width", teacher.decoderWidth, isTaught && teacher.weights === null],
  ];
  for (const [flag, width, isUsed] of widths) {
    if (isUsed && width % 4 !== 0) {
      problems.push(`${flag} is ${width}: the positions of --form mae need a multiple of 4`);
    }
  }
  return problems;
}

function maskProblems(settings: Settings): string[] {
  // Nothing is masked in fine-tuning.
  if (settings.student.weights !== null) return [];
  const { studentRatio, teacherRatio } = settings.masks;
  const { positions, studentVisible, teacherOnly } = maskCounts(settings);
  const grid = `of the ${positions} positions of a frame`;
  if (settings.masks.teacherMasks === "fresh" && settings.alignment.teacherMode === "cached") {
    return ["--teacher-masks fresh has no features in any cache: take --teacher-mode online with it"];
  }
  if (settings.masks.teacherMasks === "fresh" && settings.masks.studentMasks === "fixed") {
    return ["--student-masks fixed cannot lie inside masks of --teacher-masks fresh: leave one of them out"];
  }
  if (teacherRatio >= studentRatio) {
    return [
      `--teacher-ratio ${teacherRatio} hides as much as --student-ratio ${studentRatio} or more: ` +
      `the teacher must see more than the student`,
    ];
  }
  const problems: string[] = [];
  if (studentVisible < 1) {
    problems.push(`--student-ratio ${studentRatio} hides all ${grid}: the student must see one at least`);
  }
  if (teacherOnly < 1) {
    problems.push(
      `--student-ratio ${studentRatio} and --teacher-ratio ${teacherRatio} hide equally many ${grid}: ` +
        `the teacher must see one more at least`,
    );
  }
  return problems;
}

function alignmentProblems({ alignment, pretrain, student, teacher }: Settings): string[] {
  // Without a teacher nothing is aligned.
  if (pretrain.method === "videomae" || student.weights !== null) return [];
  const { studentLayers, teacherLayers } = alignment;
  const problems: string[] = [];
  if (alignment.directWeight === 0 && alignment.generationWeight === 0) {
    problems.push(
      "--direct-weight 0 and --generation-weight 0 leave nothing to learn from the teacher: take --method videomae",
    );
  }
  if (studentLayers.length !== teacherLayers.length) {
    problems.push(
      `--student-layers ${studentLayers} and --teacher-layers ${teacherLayers} are ${studentLayers.length} and ` +
        `${teacherLayers.length} blocks: expected as many of the one as of the other`,
    );
  }
  for (
    const [flag, layers, depthFlag, depth] of [
      ["--student-layers", studentLayers, "--student-depth", student.depth],
      ["--teacher-layers", teacherLayers, "--teacher-depth", teacher.depth],
    ] as const
  ) {
    const last = layers.at(-1) as number;
    if (last > depth) problems.push(`${flag} names block ${last}, but ${depthFlag} is ${depth}`);
  }
  return problems;
}

function trainingProblems({ pretrain, teach, finetune }: Settings): string[] {
  const problems: string[] = [];
  const trainings: [string, { epochs: number; warmupEpochs: number; baseLr: number; minLr: number }][] = [
    ["pretrain", pretrain],
    ["finetune", finetune],
    ["teacher", {
      epochs: teach.trainEpochs,
      warmupEpochs: teach.trainWarmupEpochs,
      baseLr: teach.trainBaseLr,
      minLr: teach.trainMinLr,
    }],
  ];
  for (const [name, t] of trainings) {
    if (t.warmupEpochs > t.epochs) {
      problems.push(`--${name}-warmup-epochs ${t.warmupEpochs} is more than --${name}-epochs ${t.epochs}`);
    }
    if (t.minLr > t.baseLr) {
      problems.push(`--${name}-min-lr ${t.minLr} is above --${name}-base-lr ${t.baseLr}`);
    }
  }
  return problems;
}

function augmentationProblems({ finetune }: Settings): string[] {
  const { batch, repeatedAugmentation: copies, mixup, cutmix, mixupProb } = finetune;
  const problems: string[] = [];
  if (batch % copies !== 0) {
    problems.push(
      `--finetune-batch is ${batch}, which --repeated-augmentation ${copies} does not divide: take a multiple of ${copies}`,
    );
  }
  if ((mixup > 0 || cutmix > 0) && mixupProb > 0 && batch / copies < 2) {
    problems.push(
      `--finetune-batch ${batch} holds a single video, which --mixup and --cutmix cannot mix with another: take a larger ` +
        "batch, or leave them out",
    );
  }
  return problems;
}

function runProblems({ data, demo, run }: Settings): string[] {
  const problems: string[] = [];
  const counts = [["train", demo.trainClips, FASHION_MOST.train], ["val", demo.valClips, FASHION_MOST.val]] as const;
  for (const [part, clips, most] of demo.kind === "fashion-mnist" ? counts : []) {
    if (clips > most) {
      problems.push(`--${part}-clips is ${clips}, but --demo fashion-mnist has ${most} pictures for it`);
    }
  }
  if (data.data === null && data.val !== null && data.val !== "auto") {
    problems.push("--val needs --data: the demo makes its own validation clips");
  }
  if (run.engine === "tfjs" && run.precision === "bf16") {
    problems.push("--engine tfjs computes in f32 only: leave --precision bf16 out or take --engine xla");
  }
  if (run.engine === "tfjs" && run.device === "tpu") {
    problems.push("--engine tfjs runs on cpu and cuda: found --device tpu");
  }
  if (run.only !== null && (run.from !== null || run.until !== null)) {
    problems.push(`--only ${run.only} already names the stage: leave --from and --until out`);
  }
  if (run.from !== null && run.until !== null && STAGES.indexOf(run.from) > STAGES.indexOf(run.until)) {
    problems.push(`--from ${run.from} comes after --until ${run.until}: the order is ${STAGES.join(", ")}`);
  }
  return problems;
}

/** Every batch is shared out evenly, and so is every part of a training batch. */
function deviceProblems({ pretrain, teach, finetune, run: { devices, engine, accumulate } }: Settings): string[] {
  if (devices > 1 && engine === "tfjs") {
    return [`--engine tfjs runs on one device: found --devices ${devices}`];
  }
  const parts = devices * accumulate;
  const batches: [string, number, number][] = [
    ["--pretrain-batch", pretrain.batch, parts],
    ["--teacher-batch", teach.trainBatch, parts],
    ["--teach-batch", teach.batch, devices],
    ["--finetune-batch", finetune.batch, parts],
    ["--eval-batch", finetune.evalBatch, devices],
  ];
  const shown = (by: number) =>
    by === devices
      ? `--devices ${devices}`
      : devices === 1
      ? `--accumulate ${accumulate}`
      : `--devices ${devices} times --accumulate ${accumulate}`;
  return batches.filter(([, batch, by]) => batch % by !== 0)
    .map(([flag, batch, by]) => `${flag} is ${batch}, which ${shown(by)} does not divide: take a multiple of ${by}`);
}
