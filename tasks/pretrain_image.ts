/** `deno task pretrain-image`: the chain of `pretrain-video` on pictures, which are clips of one frame. */
import { main } from "./_cli.ts";
import { chainTask } from "./_chain_task.ts";

await main(chainTask({
  name: "pretrain-image",
  about: "Pre-trains a small image transformer by asymmetric masked distillation, from picture files to a report.\n" +
    "Without arguments it does so on embedded pictures of clothes (image-demo); with --data it takes the recipe for\n" +
    "ImageNet (imagenet-vit-s), unless --preset names another.",
  presets: { demo: "image-demo", own: "imagenet-vit-s" },
  examples: [
    { command: "deno task pretrain-image", about: "The whole chain on the embedded pictures" },
    {
      command: "deno task pretrain-image --data photos/ --preset image-demo --run runs/mine",
      about: "The same small networks on pictures of your own, a folder for each class",
    },
    {
      command:
        "deno task pretrain-image --preset imagenet-vit-b --data imagenet/train --teacher mae_pretrain_vit_large.pth",
      about: "ImageNet, with the published MAE teacher",
    },
    { command: "deno task pretrain-image --until prepare", about: "Only decode, and go on another day" },
  ],
}));
