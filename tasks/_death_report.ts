/** What is said of a task that a signal ended: which, during what, and what to do. */
import type { LastWords } from "./_last_words.ts";

/** Flags of the batch sizes, by the first word of the stage. */
const BATCH_FLAGS: Readonly<Record<string, string>> = {
  "train-teacher": "--teacher-batch",
  teach: "--teach-batch",
  pretrain: "--pretrain-batch",
  finetune: "--finetune-batch",
  evaluate: "--eval-batch",
  probe: "--eval-batch",
};

/** The sentence, without "error:" and final stop. */
export function deathReport(signal: Deno.Signal, { stage, engine }: LastWords): string {
  const where = [
    ...(engine === undefined ? [] : [`while ${engine}`]),
    ...(stage === undefined ? [] : [`after ${stage.done} of ${stage.total} ${stage.unit} of ${stage.name}`]),
  ].join(", ");
  const goOn = stage?.unit === "steps"
    ? "Run the same command again: it goes on from the newest checkpoint"
    : "Run the same command again: what is done is kept";
  return `The task was ended by ${signal}${where && ` ${where}`}: ${cause(signal)}. ${goOn}${
    mend(signal, stage?.name)
  }`;
}

function cause(signal: Deno.Signal): string {
  return signal === "SIGKILL"
    ? "somebody killed it, or the system did because memory ran out"
    : "a fault inside a native library";
}

function mend(signal: Deno.Signal, stage = ""): string {
  if (signal !== "SIGKILL") {
    return "; if it dies there again, with --precision f32 or --engine tfjs, and --allow-change";
  }
  const flag = BATCH_FLAGS[/^(?:train-)?\w+/.exec(stage)?.[0] ?? ""];
  return flag ? `; if memory runs out again, with a smaller ${flag} and --allow-change` : "";
}
