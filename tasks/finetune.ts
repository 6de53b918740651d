/** `deno task finetune`: one stage of the chain; the stages before it must be done. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "finetune",
  only: "finetune",
  about: "Fine-tunes the pre-trained student on labelled clips, beside the same network from random weights.",
  examples: [
    { command: "deno task finetune --run runs/demo", about: "Both networks under one protocol" },
    {
      command: "deno task finetune --from runs/k400 --data ucf.csv --videos clips/ --run runs/ucf --no-scratch",
      about: "Another run's student on other clips, classes, frames and sizes",
    },
  ],
}));
