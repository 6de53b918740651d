/** `deno task report`: one stage of the chain; the stages before it must be done. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "report",
  only: "report",
  about: "Writes the report of a run: one HTML page, offline, self-contained.",
  examples: [{ command: "deno task report --run runs/demo", about: "runs/demo/report.html" }],
}));
