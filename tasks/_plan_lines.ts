/** A plan as lines of text. */
import { HERE, type Plan, type StagePlan, SUSTAINED, type TeacherModePlan } from "../pipeline/plan.ts";
import { formatAmount, formatBytes, formatCount, formatDuration, formatShare } from "../pipeline/units.ts";

/** The plan, without colours. */
export function planLines(plan: Plan): string[] {
  const { clips, views, disk, stages, compute, misfits } = plan;
  const measured = stages.some(({ measured }) => measured !== null);
  return [
    `clips      ${formatCount(clips.train)} for training, ${formatCount(clips.val)} for validation, ${
      formatAmount(clips.classes, "class", "classes")
    } (${clips.source})`,
    `views      ${formatCount(views.train)} and ${formatCount(views.val)}; how long decoding takes is not reckoned`,
    ...diskLines(disk),
    `networks   matrix products in ${compute}${
      compute === "f32" ? ", as on most CPUs (--precision bf16 plans for the other)" : ""
    }; arithmetic from the shapes, memory estimated`,
    ...stageTable(stages),
    ...misfits.map((problem) => `  does not fit: ${problem}`),
    `           hours on other devices: assumed, ${formatShare(SUSTAINED)} of their bf16 peak${
      measured ? "" : "; --measure times steps on this machine"
    }`,
    ...(plan.teacherMode === null ? [] : teacherLines(plan.teacherMode)),
  ];
}

function diskLines({ frameBytes, featureBytes, checkpointBytes, freeBytes }: Plan["disk"]): string[] {
  const free = freeBytes === null ? "" : `, ${formatBytes(freeBytes)} free`;
  return [
    `disk       ${formatBytes(frameBytes)} of frames, ${formatBytes(featureBytes)} of features, ${
      formatBytes(checkpointBytes)
    } of checkpoints${free}`,
  ];
}

function stageTable(stages: readonly StagePlan[]): string[] {
  const devices = [...new Set(stages.flatMap(({ hours }) => Object.keys(hours)))];
  const head = ["stage", "batch", "steps", "parameters", "GFLOP/clip", "GFLOP/step", "memory", ...devices];
  const rows = stages.map(({ stage, batch, steps, parameters, gflopPerClip, gflopPerStep, memory, hours }) => [
    stage,
    formatCount(batch),
    formatCount(steps),
    formatCount(parameters),
    formatCount(gflopPerClip),
    formatCount(gflopPerStep),
    formatBytes(memory.total),
    ...devices.map((device) => hours[device] === undefined ? "?" : formatDuration(hours[device] * 3600)),
  ]);
  const widths = head.map((name, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? name).length)));
  return [head, ...rows].map((row) => {
    const cells = row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!));
    return `  ${cells.join("  ")}`;
  });
}

function teacherLines(mode: TeacherModePlan): string[] {
  const {
    chosen,
    viewsTaught,
    clipsSeen,
    teacherGflopPerClip,
    bytesWritten,
    bytesRead,
    diskBytesPerSecond,
    diskRateFrom,
  } = mode;
  return [
    `teacher    ${chosen}; ${formatCount(teacherGflopPerClip)} GFLOP a clip, for ${
      formatCount(viewsTaught)
    } views cached or ${formatCount(clipsSeen)} clips online; the cache writes ${formatBytes(bytesWritten)} and reads ${
      formatBytes(bytesRead)
    }, at ${formatBytes(diskBytesPerSecond)}/s (${diskRateFrom})`,
    ...mode.verdicts.map(({ device, computeHoursSaved, transferHours, breakEvenBytesPerSecond, cheaper }) => {
      const where = device === HERE ? "here" : `on one ${device}`;
      const limit = breakEvenBytesPerSecond === null
        ? "the teacher would see no more clips online"
        : `the disk must give ${formatBytes(breakEvenBytesPerSecond)}/s for the cache to pay`;
      return `  ${where}: ${cheaper} is cheaper; the cache saves ${hours(computeHoursSaved)} of computing for ${
        hours(transferHours)
      } of reading and writing (${limit})`;
    }),
  ];
}

function hours(value: number): string {
  return value < 0 ? `-${formatDuration(-value * 3600)}` : formatDuration(value * 3600);
}
