/** `deno task probe`: one stage of the chain; the stages before it must be done. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "probe",
  only: "probe",
  about:
    "Nearest neighbours and a linear classifier on the pre-trained student's frozen features, beside random weights.",
  examples: [{ command: "deno task probe --run runs/demo", about: "Both probes of both networks" }],
}));
