/** `deno task inspect PATH`: what a shard, checkpoint, run or cache is, and whether it is whole. */
import { DamagedError, inspect, inspectionLines } from "../pipeline/inspect.ts";
import { main } from "./_cli.ts";
import { showProgress } from "./_progress.ts";

await main({
  name: "inspect",
  about:
    "Says what a file or folder is and whether it is whole: exit code 1 if it is damaged, 2 if it is nothing known.",
  examples: [
    { command: "deno task inspect runs/demo", about: "Stages, newest checkpoints, last losses" },
    {
      command: "deno task inspect cache",
      about: "Which sets of shards there are; name one of them to verify every byte",
    },
  ],
  settings: [],
  positional: {
    name: "PATH",
    about: "Shard, folder of shards, checkpoint, .safetensors, .pth or .index.json file, run or cache",
    min: 1,
    max: 1,
  },
  run: async ({ words, settings, signal, print }) => {
    const found = await inspect(words[0]!, { progress: showProgress({ quiet: settings.run.quiet }), signal });
    for (const line of inspectionLines(found)) print(line);
    if (found.problems.length > 0) throw new DamagedError(found);
    return { ...found };
  },
});
