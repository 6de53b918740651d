/** Tasks that run the chain of stages or one stage of it: progress on the terminal, a summary at the end, `--json`. */
import { type ChainResult, runChain } from "../pipeline/chain.ts";
import { describeFlags, type Stage } from "../pipeline/settings.ts";
import { notedProgress } from "./_last_words.ts";
import { showProgress } from "./_progress.ts";
import { summaryLines } from "./_summary.ts";
import type { Task, TaskContext } from "./_task.ts";

/** What tells one of these tasks from another. */
export interface ChainTaskOptions extends Pick<Task, "name" | "about" | "examples" | "presets"> {
  /** The one stage that it runs. @default the whole chain */
  only?: Stage;
  /** The stage that it ends with. @default the last */
  until?: Stage;
}

/** Stages that work with an encoder, which may be given. */
const WITH_ENCODER: readonly Stage[] = ["finetune", "evaluate", "probe", "report"];

/** Makes the task. */
export function chainTask({ only, until, ...task }: ChainTaskOptions): Task {
  if (!only || !WITH_ENCODER.includes(only)) {
    return { ...task, run: (context) => run(context, { ...(only && { only }), ...(until && { until }) }) };
  }
  return {
    ...task,
    // A task of one stage needs no flags that name stages.
    settings: describeFlags().map(({ path }) => path).filter((path) => !/^run\.(?:from|until|only)$/.test(path)),
    flags: [{
      flag: "from",
      kind: "text",
      about: "Run, folder or file of weights whose encoder is taken, the same as --student",
      standsFor: "student",
    }],
    run: (context) => {
      // With a given encoder the clips are all that fine-tuning needs: it prepares them itself.
      const isAll = only === "finetune" && context.settings.student.weights !== null;
      return run(context, isAll ? { until: only } : { only });
    },
  };
}

async function run(
  context: TaskContext,
  part: { only?: Stage; until?: Stage },
): Promise<Readonly<Record<string, unknown>>> {
  const { resolved, settings, command, signal, notes, print, warn } = context;
  const progress = showProgress({ quiet: settings.run.quiet });
  const result = await runChain({
    resolved: { ...resolved, settings: { ...settings, run: { ...settings.run, ...part } } },
    command,
    signal,
    progress: notedProgress(progress, notes),
    onEngine: (doing) => notes.note({ engine: doing }),
    print: (line) => progress.aside(() => print(line)),
    warn: (line) => progress.aside(() => warn(line)),
  });
  for (const line of summaryLines(result.summary, result.report ?? null)) print(line);
  return machineSummary(result);
}

/** The object of `--json`. */
export function machineSummary({ summary, report }: ChainResult): Readonly<Record<string, unknown>> {
  const { run, data, losses, accuracy, probe, stages } = summary;
  const last = losses.find(({ stage }) => stage === "pretrain")?.losses ?? {};
  const { pixel = null, direct = null, generation = null, total = null } = last;
  return {
    run,
    report: report ?? null,
    clips: data ? data.trainClips + data.valClips : 0,
    badClips: data?.badClips.length ?? 0,
    badClipList: data?.badClips ?? [],
    losses: { pixel, direct, generation, total },
    accuracy: accuracy && {
      kind: accuracy.kind,
      student: accuracy.student,
      scratch: accuracy.scratch,
      top5: accuracy.top5 ?? null,
      chance: accuracy.chance,
      clips: accuracy.clips,
    },
    probe,
    stages,
  };
}
