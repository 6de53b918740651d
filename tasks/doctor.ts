/** `deno task doctor`: which decoders, engines and devices work on this machine, how fast, and why not. */
import { checkLines, diagnose, NotReadyError, systemProbes } from "../pipeline/doctor.ts";
import { main } from "./_cli.ts";

await main({
  name: "doctor",
  about: "Tries and measures decoders, engines, devices and the cache folder of this machine, within a minute:\n" +
    "exit code 1 if training cannot run here.",
  examples: [
    { command: "deno task doctor", about: "What works and how fast, or what mends it" },
    { command: "deno task doctor --quick --json", about: "Without measuring, in a few seconds; as JSON" },
  ],
  settings: ["run.cache"],
  flags: [{ flag: "quick", kind: "boolean", about: "Measure nothing" }],
  run: async ({ settings, own, signal, print }) => {
    const probes = systemProbes({ cache: settings.run.cache, measure: own["quick"] !== true, signal });
    const onCheck = (check: Parameters<typeof checkLines>[0]) => checkLines(check).forEach((line) => print(line));
    const diagnosis = await diagnose(probes, { onCheck, signal });
    if (!diagnosis.ready) throw new NotReadyError(diagnosis);
    return { ...diagnosis };
  },
});
