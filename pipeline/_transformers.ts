/**
 * Computes an exported folder with Python's transformers, where a python with it is at hand: `TUBELET_PYTHON`, else
 * `python3`. Nothing is installed.
 */
import fs from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../models/patch_embed.ts";
import type { FrameBatch } from "./_onnx_session.ts";

/** Exit code of the script where a module is missing. */
const NO_MODULE = 77;

const SCRIPT = `
import json, sys
try:
    import numpy, torch, transformers
except ImportError:
    sys.exit(${NO_MODULE})
given = json.loads(sys.argv[1])
levels = numpy.fromfile(given["frames"], dtype=numpy.uint8).reshape(given["shape"])
pixels = (levels / 255 - numpy.array(given["mean"])) / numpy.array(given["deviation"])
pixels = torch.from_numpy(pixels.transpose(0, 1, 4, 2, 3).astype(numpy.float32))
net = getattr(transformers, given["network"]).from_pretrained(given["folder"]).eval()
if not given["network"].startswith("VideoMAE"):
    pixels = pixels[:, 0]
with torch.no_grad():
    if given["hidden"] and given["network"] == "ViTMAEForPreTraining":
        hidden, tokens = given["hidden"], given["tokens"]
        # Tokens are seen in the order of their noise, as many as a share of them; half a token more is no token.
        noise = torch.arange(tokens, dtype=torch.float32)
        net.config.mask_ratio = -0.5 / tokens
        whole = net.vit(pixels, noise=noise.repeat(len(levels), 1)).last_hidden_state
        noise[hidden] += tokens
        net.config.mask_ratio = (len(hidden) - 0.5) / tokens
        found = net(pixels, noise=noise.repeat(len(levels), 1)).logits
        outputs = {"last_hidden_state": whole, "prediction": found[:, hidden].contiguous()}
    elif given["hidden"]:
        mask = torch.zeros(len(levels), given["tokens"], dtype=torch.bool)
        mask[:, given["hidden"]] = True
        outputs = {"last_hidden_state": net.videomae(pixels).last_hidden_state,
                   "prediction": net(pixels, bool_masked_pos=mask).logits}
    else:
        outputs = {"logits": net(pixels).logits}
for name, values in outputs.items():
    values.numpy().astype(numpy.float32).tofile(given["out"] + "/" + name)
print(json.dumps({"version": transformers.__version__, "outputs": list(outputs)}))
`;

/** What to compute. */
export interface TransformersOptions extends FrameBatch {
  /** The exported folder. */
  readonly folder: string;
  /** Class that loads it. */
  readonly network: string;
  readonly tokens: number;
  /** Tokens that a student reconstructs; none for a classifier. */
  readonly hidden: readonly number[];
}

/** What transformers computed; undefined if there is no python with it. @throws {Error} if it cannot load the folder */
export async function runTransformers({ frames, ...options }: TransformersOptions) {
  const out = fs.mkdtempSync(join(os.tmpdir(), "tubelet-export-"));
  try {
    const given = { ...options, frames: join(out, "frames"), out, mean: PIXEL_MEAN, deviation: PIXEL_DEVIATION };
    fs.writeFileSync(given.frames, frames);
    const answer = await python(JSON.stringify(given));
    if (answer === undefined) return undefined;
    const { version, outputs } = JSON.parse(answer) as { version: string; outputs: string[] };
    const read = (name: string) => new Float32Array(new Uint8Array(fs.readFileSync(join(out, name))).buffer);
    return { version, outputs: new Map(outputs.map((name) => [name, read(name)])) };
  } finally {
    fs.rmSync(out, { recursive: true });
  }
}

async function python(given: string): Promise<string | undefined> {
  let result: Deno.CommandOutput;
  try {
    result = await new Deno.Command(Deno.env.get("TUBELET_PYTHON") ?? "python3", {
      args: ["-c", SCRIPT, given],
      env: { HF_HUB_OFFLINE: "1", TRANSFORMERS_VERBOSITY: "error" },
    }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (result.code === NO_MODULE) return undefined;
  if (result.success) return text(result.stdout).split("\n").at(-1)!;
  throw new Error(`transformers cannot compute the exported folder: ${text(result.stderr).split("\n").at(-1)}`);
}
