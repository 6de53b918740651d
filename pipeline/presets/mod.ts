/** The presets by the name that `--preset` takes. */
import { demo } from "./demo.ts";
import { imageDemo } from "./image_demo.ts";
import { imagenetVitB } from "./imagenet_vit_b.ts";
import { imagenetVitS } from "./imagenet_vit_s.ts";
import { k400VitB } from "./k400_vit_b.ts";
import { k400VitS } from "./k400_vit_s.ts";
import type { Preset } from "./preset.ts";
import { ssv2VitB } from "./ssv2_vit_b.ts";
import { ssv2VitS } from "./ssv2_vit_s.ts";

export type { Preset };

/** All presets, in the order of `--help`. */
export const presets: ReadonlyMap<string, Preset> = new Map([
  ["demo", demo],
  ["image-demo", imageDemo],
  ["ssv2-vit-s", ssv2VitS],
  ["ssv2-vit-b", ssv2VitB],
  ["k400-vit-s", k400VitS],
  ["k400-vit-b", k400VitB],
  ["imagenet-vit-s", imagenetVitS],
  ["imagenet-vit-b", imagenetVitB],
]);
