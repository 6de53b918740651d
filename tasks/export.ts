/** `deno task export`: a run's network for other programs. */
import { CLASSIFIERS, EXPORT_FORMATS, exportRun } from "../pipeline/export.ts";
import { SettingsError } from "../pipeline/settings.ts";
import { main } from "./_cli.ts";

await main({
  name: "export",
  about: "Writes a run's student or classifier into a folder for transformers or for the official scripts.",
  examples: [
    { command: "deno task export --out student", about: "The demo's student for transformers" },
    {
      command: "deno task export --run runs/mine --classifier student --out classifier",
      about: "The classifier fine-tuned from it",
    },
    { command: "deno task export --to official --out official", about: "Names of the official repositories" },
  ],
  settings: ["run.run"],
  flags: [
    { flag: "out", kind: "text", about: "Folder to write; must not exist, or be empty" },
    { flag: "to", kind: "text", about: "hf for transformers (the default), official for the official scripts" },
    {
      flag: "classifier",
      kind: "text",
      about: "student or scratch: that classifier instead of the pre-trained student",
    },
  ],
  run: async ({ settings, own, print, warn }) => {
    const out = own["out"];
    if (typeof out !== "string" || out === "") throw new SettingsError(["--out is missing: name a folder to write"]);
    const classifier = choice("classifier", own["classifier"], CLASSIFIERS);
    const to = choice("to", own["to"], EXPORT_FORMATS) ?? "hf";
    const result = await exportRun({ run: settings.run.run, out, to, ...(classifier && { classifier }), warn });
    print(`${result.out}: ${result.network}, ${result.parameters} parameters from ${result.checkpoint}`);
    for (const note of result.notes) print(note);
    return { ...result };
  },
});

/** The value of a flag that has a few. */
function choice<T extends string>(flag: string, given: string | boolean | undefined, values: readonly T[]) {
  const found = values.find((value) => value === given);
  if (found !== undefined || given === undefined) return found;
  throw new SettingsError([`--${flag} is ${JSON.stringify(given)}: expected ${values.join(" or ")}`]);
}
