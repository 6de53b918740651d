/** `deno task prepare`: the chain as far as the decoding; without a list, the clips of the demo are made first. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "prepare",
  until: "prepare",
  about: "Decodes the clips of a list once into frame shards, which every later stage reads.",
  examples: [{
    command: "deno task prepare --preset ssv2-vit-s --data train.json --videos clips/",
    about: "Only the decoding; broken clips are listed and counted",
  }],
}));
