/** `deno task export`: a run's network for other programs. */
import { CLASSIFIERS, EXPORT_FORMATS, exportRun, sentence } from "../pipeline/export.ts";
import { SettingsError } from "../pipeline/settings.ts";
import { main } from "./_cli.ts";

await main({
  name: "export",
  about:
    "Writes a run's student or classifier for transformers, ONNX or the official scripts, and compares what it computes.",
  examples: [
    { command: "deno task export --out student", about: "The demo's student for transformers" },
    {
      command: "deno task export --run runs/mine --classifier student --out classifier",
      about: "The classifier fine-tuned from it",
    },
    { command: "deno task export --to onnx --out onnx", about: "The encoder as an ONNX model of any batch" },
    { command: "deno task export --to pth-names --out official", about: "Names of the official repositories" },
  ],
  settings: ["run.run", "run.engine", "run.device"],
  flags: [
    { flag: "out", kind: "text", about: "Folder to write; must not exist, or be empty" },
    {
      flag: "to",
      kind: "text",
      about: "hf for transformers (the default), onnx, pth-names for the official scripts",
    },
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
    const { run: folder, engine, device } = settings.run;
    const options = { run: folder, out, to, engine: { engine, device }, warn };
    const result = await exportRun({ ...options, ...(classifier && { classifier }) });
    print(`${result.out}: ${result.network}, ${result.parameters} parameters from ${result.checkpoint}`);
    for (const line of [...result.comparisons.map(sentence), ...result.notes]) print(line);
    return { ...result };
  },
});

/** The value of a flag that has a few. */
function choice<T extends string>(flag: string, given: string | boolean | undefined, values: readonly T[]) {
  const found = values.find((value) => value === given);
  if (found !== undefined || given === undefined) return found;
  const expected = `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
  throw new SettingsError([`--${flag} is ${JSON.stringify(given)}: expected ${expected}`]);
}
