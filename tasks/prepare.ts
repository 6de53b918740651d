/** `deno task prepare`: one stage of the chain; the stages before it must be done. */
import { chainTask } from "./_chain_task.ts";
import { main } from "./_cli.ts";

await main(chainTask({
  name: "prepare",
  only: "prepare",
  about: "Decodes the clips of a list once into frame shards, which every later stage reads.",
  examples: [{
    command: "deno task prepare --preset ssv2-vit-s --data train.json --videos clips/",
    about: "Only the decoding; broken clips are listed and counted",
  }],
}));
