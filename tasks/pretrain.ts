/** `deno task pretrain`: one stage of the chain; the stages before it must be done. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "pretrain",
  only: "pretrain",
  about: "Pre-trains the student by asymmetric masked distillation from cached features, or from pixels alone.",
  examples: [
    { command: "deno task pretrain --run runs/demo", about: "Goes on from the newest checkpoint, if there is one" },
    { command: "deno task pretrain --method videomae --run runs/plain", about: "Without a teacher, for comparison" },
  ],
}));
