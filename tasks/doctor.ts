/** `deno task doctor`: which decoders and engines work on this machine, and why not. */
import { checkLine, diagnose, NotReadyError, systemProbes } from "../pipeline/doctor.ts";
import { main } from "./_cli.ts";

await main({
  name: "doctor",
  about: "Tries decoders, engines and the cache folder of this machine: exit code 1 if training cannot run here.",
  examples: [{ command: "deno task doctor", about: "One line a part: what works, or what mends it" }],
  settings: [],
  run: async ({ settings, print }) => {
    const diagnosis = await diagnose(systemProbes(settings.run.cache), (check) => print(checkLine(check)));
    if (!diagnosis.ready) throw new NotReadyError(diagnosis);
    return { ...diagnosis };
  },
});
