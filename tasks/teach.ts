/** `deno task teach`: one stage of the chain; the stages before it must be done. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "teach",
  only: "teach",
  about: "Runs the frozen teacher once over the prepared clips and keeps its features in shards.",
  examples: [{ command: "deno task teach --run runs/demo", about: "Feature shards of the embedded demo" }],
}));
