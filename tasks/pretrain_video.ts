/** `deno task pretrain-video`: the whole chain, from video files to a distilled student and its report. */
import { main } from "./_cli.ts";
import { chainTask } from "./_chain_task.ts";

await main(chainTask({
  name: "pretrain-video",
  about: "Pre-trains a small video transformer by asymmetric masked distillation, from video files to a report.\n" +
    "Without arguments it does so on embedded clips of moving digits.",
  examples: [
    { command: "deno task pretrain-video", about: "The whole chain on the embedded demo" },
    {
      command: "deno task pretrain-video --data list.csv --videos clips/ --preset demo --run runs/mine",
      about: "The same small networks on clips of your own; lines of the list are PATH LABEL",
    },
    {
      command:
        "deno task pretrain-video --preset ssv2-vit-s --data train.json --videos clips/ --teacher videomae-vit-l.safetensors",
      about: "The published recipe for Something-Something V2",
    },
    { command: "deno task pretrain-video --until prepare", about: "Only decode, and go on another day" },
  ],
}));
