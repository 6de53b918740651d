/** `deno task plan`: what a run would cost in disk, memory and hours, before anything runs. */
import { planFor } from "../pipeline/plan_task.ts";
import { SettingsError } from "../pipeline/settings.ts";
import { main } from "./_cli.ts";
import { planLines } from "./_plan_lines.ts";
import { notedProgress } from "./_last_words.ts";
import { showProgress } from "./_progress.ts";

await main({
  name: "plan",
  about:
    "Reckons a run before anything is run: bytes on disk, arithmetic, memory, hours, and whether caching the teacher pays.",
  examples: [
    { command: "deno task plan --preset ssv2-vit-s", about: "The published recipe on the published data set" },
    { command: "deno task plan --preset k400-vit-b --clips 10000 --json", about: "For fewer clips, as JSON" },
    { command: "deno task plan --measure", about: "The demo, with hours from a few steps on this machine" },
  ],
  withoutData: true,
  flags: [
    {
      flag: "clips",
      kind: "text",
      about: "Number of clips to plan for where there is no --data [that of the data set]",
    },
    {
      flag: "measure",
      kind: "boolean",
      about: "Compile the steps, time a few of each and the disk, and reckon hours for this machine",
    },
    { flag: "disk-rate", kind: "text", about: "Rate of the disk to reckon with, MB/s [1000, or as --measure finds]" },
  ],
  run: async ({ resolved, own, signal, notes, print, warn }) => {
    const progress = showProgress({ quiet: resolved.settings.run.quiet });
    const plan = await planFor({
      resolved,
      clips: own["clips"],
      diskRate: own["disk-rate"],
      measure: own["measure"] === true,
      signal,
      progress: notedProgress(progress, notes),
      onEngine: (doing) => notes.note({ engine: doing }),
      warn: (line) => progress.aside(() => warn(line)),
    });
    for (const line of planLines(plan)) print(line);
    if (plan.misfits.length > 0 && !plan.isSupposed) throw new SettingsError(plan.misfits);
    return { ...plan };
  },
});
