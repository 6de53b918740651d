/** The `demo` stage: handwritten digits in motion as video files, or pictures of clothes, made once and kept in the cache. */
import { makeDigits } from "../../decoders/lists/digits.ts";
import { makeFashionMnist } from "../../decoders/lists/fashion_mnist.ts";
import { uniforms } from "../random.ts";
import { orDiskFull } from "../shards/_full_disk.ts";
import { demoFolder, type DemoResult } from "./clip_sources.ts";
import type { StageContext } from "./stage_context.ts";

/** Makes the demo's clips; finished ones are kept. */
export async function makeDemo(
  context: Pick<StageContext, "settings" | "signal" | "progress">,
): Promise<DemoResult> {
  const { settings, signal, progress } = context;
  const { kind, trainClips, valClips, clipFrames, clipSize, demoSeed } = settings.demo;
  using bar = progress.begin("demo", trainClips + valClips, "clips");
  const folder = demoFolder(context);
  const options = {
    folder,
    trainClips,
    valClips,
    seed: demoSeed,
    uniforms,
    signal,
    onProgress: (done: number) => bar.update(done),
  };
  const make = kind === "digits"
    ? () => makeDigits({ ...options, frames: clipFrames, size: clipSize })
    : () => makeFashionMnist(options);
  const { root, train, val, clips } = await orDiskFull(folder, make);
  return { folder: root, train, val, clips };
}
