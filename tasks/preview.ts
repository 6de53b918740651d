/** `deno task preview`: one page with some clips as the model will see them, before anything is trained on them. */
import { previewClips } from "../pipeline/preview.ts";
import { previewPage } from "../pipeline/report/preview_page.ts";
import { writeFileAtomically } from "../pipeline/shards/_publish.ts";
import { main } from "./_cli.ts";
import { showProgress } from "./_progress.ts";

await main({
  name: "preview",
  about: "Writes one page with some clips as the model will see them: frames, crop, masks, label and file.",
  examples: [
    { command: "deno task preview", about: "The demo's clips: preview.html" },
    {
      command: "deno task preview --preset ssv2-vit-s --data train.json --videos clips/ --clips 24",
      about: "Two dozen clips of as many classes, with the crops and masks of the first epoch",
    },
    {
      command: "deno task preview --preset k400-vit-b --data train.csv --videos clips/ --of-val --out val.html",
      about: "Validation clips, as the evaluation sees them",
    },
  ],
  settings: ["data", "clip", "masks", "demo", "finetune.evalSegments", "finetune.evalCrops", "run.seed", "run.cache"],
  flags: [
    { flag: "clips", kind: "text", about: "Clips to show, 1 to 200 [12]" },
    { flag: "of-val", kind: "boolean", about: "Show validation clips, not those of the training" },
    { flag: "out", kind: "text", about: "The page [preview.html]" },
  ],
  run: async ({ settings, own, command, signal, print }) => {
    const progress = showProgress({ quiet: settings.run.quiet }), path = String(own["out"] ?? "preview.html");
    const preview = await previewClips({
      settings,
      clips: Number(own["clips"] ?? 12),
      val: own["of-val"] === true,
      signal,
      progress,
      print: (line) => progress.aside(() => print(line)),
    });
    writeFileAtomically(path, previewPage(preview, command));
    const bad = preview.clips.flatMap(({ name, seen }) => "reason" in seen ? [{ name, reason: seen.reason }] : []);
    for (const { name, reason } of bad) print(`bad        ${name}: ${reason}`);
    print(`page       ${path}`);
    return { page: path, clips: preview.clips.length, bad };
  },
});
