/** `deno task evaluate`: one stage of the chain; the stages before it must be done. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "evaluate",
  only: "evaluate",
  about: "Classifies the validation clips with both fine-tuned networks.",
  examples: [{
    command: "deno task evaluate --run runs/demo",
    about: "Top-1, top-5, predictions as CSV in the run's folder",
  }],
}));
