/** `deno task train-teacher`: one stage of the chain; the stages before it must be done. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "train-teacher",
  only: "train-teacher",
  about: "Trains a VideoMAE teacher on the prepared clips, for those who have no teacher's weights.",
  examples: [{ command: "deno task train-teacher --run runs/demo", about: "The teacher of the embedded demo" }],
}));
