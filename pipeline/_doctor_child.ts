/**
 * The doctor's child process: tries the part that its first argument names, with a folder as the second one, and prints
 * what it does as lines of JSON. With a third argument it also measures. A finding is printed as soon as the part works and
 * again with every number, so that whoever has no more time ends the process and has what is known by then.
 */
import type { Engine } from "../models/runtime/engine.ts";
import { openEngine, type OpenEngineOptions } from "../models/runtime/open_engine.ts";
import { PLUGIN_VARIABLE } from "../models/runtime/plugin.ts";
import { watchEngine } from "../models/runtime/watch_engine.ts";
import { XlaEngine } from "../models/runtime/xla.ts";
import type { Finding } from "./_doctor_parts.ts";

/** A line of the child: what it begins, what it found so far, or why it found nothing. */
export type ChildLine = { readonly doing: string } | { readonly finding: Finding } | { readonly error: string };

/** Parts that may end the process they are tried in. */
export const NATIVE_PARTS = ["libav", "tfjs", "xla", "cuda", "tpu"] as const;
export type NativePart = typeof NATIVE_PARTS[number];

const DECODING_S = 1;
/** Runs the script by which the package fetches its library. */
const INSTALL_NATIVE = "deno install --allow-scripts=npm:@tensorflow/tfjs-node-gpu";
/** What is told of the loader's reason. */
const REASON_KEPT = 100;

const CHOICES: Readonly<Record<Exclude<NativePart, "libav">, OpenEngineOptions>> = {
  tfjs: { engine: "tfjs" },
  xla: { engine: "xla" },
  cuda: { engine: "xla", device: "cuda" },
  tpu: { engine: "xla", device: "tpu" },
};

const now = () => performance.now();
const tell = (line: ChildLine) => console.log(JSON.stringify(line));
const doing = (doing: string) => tell({ doing });

async function tryLibav(folder: string, measures: boolean): Promise<void> {
  const { checkLibav, timeLibav } = await import("../decoders/self_check.ts");
  doing("decoding");
  const finding = { found: `decodes ${checkLibav(folder).join(" and ")} in this process` };
  tell({ finding });
  if (measures) {
    tell({ finding: { ...finding, measured: { decodedClipsPerSecond: timeLibav(folder, DECODING_S, now) } } });
  }
}

async function tryPart(part: Exclude<NativePart, "libav">, measures: boolean): Promise<void> {
  const { measureEngine, tryEngine } = await import("./_doctor_engine.ts");
  doing("opening the engine");
  await using engine = watchEngine(await openEngine(CHOICES[part]), doing);
  checkPlatform(part, engine);
  const works = await tryEngine(engine);
  const finding: Finding = { found: part === "tfjs" ? works + await slowerBecause(engine) : works };
  tell({ finding });
  if (!measures) return;
  let measured = {};
  for await (const found of measureEngine(engine, now)) {
    measured = { ...measured, ...found };
    tell({ finding: { ...finding, measured } });
  }
}

/** A plugin that is named in the environment is taken for whatever device was asked for. */
function checkPlatform(part: NativePart, engine: Engine): void {
  if (!(engine instanceof XlaEngine) || (part !== "cuda" && part !== "tpu")) return;
  const { platform } = engine.client;
  if ((platform === "tpu") === (part === "tpu") && platform !== "cpu") return;
  throw new Error(`the plugin named by ${PLUGIN_VARIABLE} is for ${platform}, not for ${part}`);
}

/** Why TensorFlow.js does without its native library, if it does. */
async function slowerBecause({ description }: Engine): Promise<string> {
  if (description.includes("tensorflow backend")) return "";
  const { openTfjsEngine } = await import("../models/runtime/tfjs.ts");
  try {
    doing("loading TensorFlow's library");
    await using _engine = await openTfjsEngine({ backend: "tensorflow" });
    return "";
  } catch (error) {
    const reason = /\((?:tensorflow: )?(.*)\)/s.exec(String(error))?.[1] ?? String(error);
    return `; not on its native library, which ${INSTALL_NATIVE} may fetch: ${reason.slice(0, REASON_KEPT).trim()}`;
  }
}

if (import.meta.main) {
  const [part, folder, measure] = Deno.args as [NativePart, string, string | undefined];
  try {
    const measures = measure !== undefined;
    await (part === "libav" ? tryLibav(folder, measures) : tryPart(part, measures));
  } catch (error) {
    tell({ error: error instanceof Error ? error.message : String(error) });
  }
}
