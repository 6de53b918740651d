/** `deno task embed`: features of any clips for other programs. */
import { embedToFile } from "../pipeline/embed.ts";
import { SettingsError } from "../pipeline/settings.ts";
import { main } from "./_cli.ts";
import { showProgress } from "./_progress.ts";

/** Clips without features that are named; the others are counted. */
const NAMED = 10;

await main({
  name: "embed",
  about: "Writes what a pre-trained encoder makes of clips: one vector a clip, or one for every token of it.",
  examples: [
    { command: "deno task embed --from runs/demo --out one.npy a.mp4 b.mp4", about: "Two files, one row each" },
    {
      command: "deno task embed --from runs/k400 --data ava.csv --videos clips/ --tokens --out ava.h5",
      about: "Dense features [clips, tokens, width] of a list, for detection",
    },
    {
      command: "deno task embed --from videomae-vit-b.safetensors --data list.csv --out pooled.h5",
      about: "Published weights; heads, frames and size are those of the published network",
    },
  ],
  // Whose clips may come without a list: the demo's settings make no clips here.
  withoutData: true,
  settings: ["data", "clip", "student.weights", "student.heads", "finetune.evalBatch", "run.engine", "run.device"],
  positional: { name: "FILE", about: "Videos, in the place of --data", min: 0, max: Infinity },
  flags: [
    {
      flag: "from",
      kind: "text",
      about: "Run, folder or file of weights whose encoder is taken, the same as --student",
      standsFor: "student",
    },
    { flag: "out", kind: "text", about: "File to write: .h5, or .npy with names and labels as .npy.json beside it" },
    { flag: "tokens", kind: "boolean", about: "Every token of the last block [clips, tokens, width]" },
    { flag: "pooled", kind: "boolean", about: "The mean of the tokens [clips, width]; the default" },
  ],
  run: async ({ resolved, settings, words, own, signal, print, warn }) => {
    const out = own["out"], tokens = own["tokens"] === true;
    if (typeof out !== "string" || out === "") throw new SettingsError(["--out is missing: name a file, .h5 or .npy"]);
    if (tokens && own["pooled"] === true) throw new SettingsError(["--tokens and --pooled are two kinds: take one"]);
    const progress = showProgress({ quiet: settings.run.quiet });
    const options = { resolved, files: words, tokens, signal, progress };
    const result = await embedToFile({ ...options, warn: (line) => progress.aside(() => warn(line)) }, out);
    const { bad, clips, shape } = result;
    print(`features   ${result.out}: [${shape.join(", ")}], f32, ${clips - bad.length} of ${clips} clips`);
    for (const { name, reason } of bad.slice(0, NAMED)) print(`bad        ${name}: ${reason}`);
    if (bad.length > NAMED) print(`bad        and ${bad.length - NAMED} more, all with status 2`);
    return { ...result, badClips: bad.length };
  },
});
