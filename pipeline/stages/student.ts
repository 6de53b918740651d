/**
 * The encoder that a run fine-tunes and probes: what the run pre-trained itself, or one that is given: another run's
 * student, an exported folder, or a file of weights of whatever names. Positions are a formula and no weights: they are
 * computed for the grid of this run, so that frames and size of the pre-training do not matter.
 */
import fs from "node:fs";
import { join } from "node:path";
import type { ParameterSpec } from "../../models/parameters.ts";
import { hubSizes } from "../_hub_config.ts";
import { impossibleCombinations } from "../_settings_checks.ts";
import { encoderSizes, PUBLISHED_HEADS } from "../_weights_sizes.ts";
import { CheckpointFolder } from "../checkpoint_folder.ts";
import { uniforms } from "../random.ts";
import { type ResolvedSettings, type Settings, SettingsError } from "../settings.ts";
import { sha256OfFile } from "../shards/file_hash.ts";
import { readRecords } from "../stage_log.ts";
import { encoderParameters, type HostParameters, isEncoders, MODEL_FILE } from "../training/weights.ts";
import type { TrainedResult } from "./run_training.ts";
import { tokenGrid } from "./stage_context.ts";

/** An encoder that is ready to be fine-tuned. */
export interface Student {
  /** Of the file of its weights. */
  readonly sha256: string;
  /**
   * Patch embedding and blocks, and class token and last norm where the network takes them.
   *
   * @param specs Parameters of the network that takes them; others among them are passed over.
   * @throws {TypeError} if tensors are missing or of another shape, with their names
   */
  readonly parameters: (specs: readonly ParameterSpec[]) => Promise<HostParameters>;
}

/** What settings of a network its weights fix. */
const SIZES = [
  "student.width",
  "student.depth",
  "student.heads",
  "clip.patch",
  "clip.tubelet",
  "clip.form",
] as const;
/** What it was trained on, which a network may leave behind. */
const CLIPS = ["clip.frames", "clip.size", "clip.stride", "clip.sampling"] as const;

/**
 * Finds the encoder.
 *
 * @param trained What the run pre-trained, if it did.
 * @param warn Receives a sentence about a training that is not done, or a file that does not fit and need not.
 * @throws {SettingsError} if there are no such weights
 */
export async function resolveStudent(
  settings: Settings,
  trained: TrainedResult | undefined,
  warn: (message: string) => void = () => {},
): Promise<Student> {
  const { student, teacher: { strict }, run: { seed } } = settings;
  if (student.weights === null) {
    const { checkpoint, sha256 } = trained!;
    return { sha256, parameters: (specs) => encoderParameters(checkpoint, specs) };
  }
  const path = await weightsFile(student.weights, warn);
  const sha256 = await sha256OfFile(path).catch((cause) => {
    throw cannotBeRead(path, cause);
  });
  return {
    sha256,
    parameters: async (specs) => {
      const { readEncoder } = await import("../training/encoder_weights.ts");
      const values = await readEncoder(path, {
        specs: specs.filter(isEncoders),
        depth: student.depth,
        grid: tokenGrid(settings),
        strict,
        uniforms: (count, name) => uniforms(count, seed, "classifier start", name),
        warn,
      });
      if (values.keys().some((name) => name.startsWith("positions."))) {
        throw new SettingsError([
          `--student ${path} keeps a table of positions, which fine-tuning does not read: name an encoder with ` +
          "VideoMAE's sinusoid, or with MAE's of as many tokens as these clips have",
        ]);
      }
      return values;
    },
  };
}

/** The file of weights that a path stands for: a run's newest whole checkpoint, a folder's model, or the file itself. */
export async function weightsFile(path: string, warn: (message: string) => void): Promise<string> {
  if (!fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
  if (!isRun(path)) return join(path, MODEL_FILE);
  const checkpoint = await new CheckpointFolder(join(path, "checkpoints"), 1, warn).latest();
  if (!checkpoint) {
    throw new SettingsError([`--student ${path} is a run without a whole checkpoint: pre-train it first`]);
  }
  const record = readRecords(join(path, "stages.json")).find(({ name }) => name === "pretrain");
  if (record?.state !== "done") warn(`The pre-training in ${path} is not done: its step ${checkpoint.step} is taken`);
  return join(checkpoint.path, MODEL_FILE);
}

function isRun(path: string): boolean {
  return fs.existsSync(join(path, "checkpoints")) || fs.existsSync(join(path, "stages.json"));
}

/**
 * Settings with the sizes of the encoder that they name, where a run, an exported folder or the tensors of a file tell
 * them and neither a flag nor a file of settings does, and checks them. Heads stand in no tensor: those of the published
 * network of that width are taken, else the settings'.
 *
 * @param options Whether frames and size of the clips are taken over as well.
 * @throws {SettingsError} if the weights cannot be read, or other settings do not fit those sizes
 */
export async function withStudentSizes(
  resolved: ResolvedSettings,
  { clips = false }: { readonly clips?: boolean } = {},
): Promise<ResolvedSettings> {
  const { weights } = resolved.settings.student;
  if (weights === null) return resolved;
  const config = join(weights, "config.json");
  const told = fs.existsSync(config) ? toldSizes(config) : await sizesOfFile(weights);
  const settings = structuredClone(resolved.settings), origins = { ...resolved.origins };
  // A network for pictures fixes the number of frames too.
  const fixed = told["clip.form"] === "mae" ? [...SIZES, "clip.frames" as const] : SIZES;
  for (const path of clips ? [...SIZES, ...CLIPS] : fixed) {
    const value = told[path];
    if (value === undefined || origins[path] === "flag" || origins[path] === "file") continue;
    const [group, name] = path.split(".") as ["student", "width"];
    settings[group][name] = value as number;
    origins[path] = "file";
  }
  const problems = impossibleCombinations(settings);
  if (problems.length > 0) throw new SettingsError(problems);
  return { ...resolved, settings, origins };
}

type ToldSizes = { readonly [path in typeof SIZES[number] | typeof CLIPS[number]]?: string | number };

function toldSizes(path: string): ToldSizes {
  const config = JSON.parse(fs.readFileSync(path, "utf8"));
  const own = config.settings as Settings | undefined, hub = own ? undefined : hubSizes(config);
  const { width, depth, heads } = own?.student ?? hub!.encoder;
  const { patch, tubelet } = own?.clip ?? hub!.cube, form = own?.clip.form ?? hub?.form;
  const clips = own?.clip ?? { frames: hub!.grid.slots * tubelet, size: hub!.grid.rows * patch };
  return {
    "student.width": width,
    "student.depth": depth,
    "student.heads": heads,
    "clip.patch": patch,
    "clip.tubelet": tubelet,
    ...(form !== undefined && { "clip.form": form }),
    "clip.frames": clips.frames,
    "clip.size": clips.size,
    ...(own && { "clip.stride": own.clip.stride, "clip.sampling": own.clip.sampling }),
  };
}

/** What a file of weights tells; nothing if it is a folder, whose file is found later, or no network for clips. */
async function sizesOfFile(path: string): Promise<ToldSizes> {
  if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) return {};
  const { openWeights } = await import("../../models/checkpoints/open_weights.ts");
  let sizes: ReturnType<typeof encoderSizes>;
  try {
    await using weights = await openWeights(path);
    sizes = encoderSizes(weights);
  } catch (cause) {
    throw cannotBeRead(path, cause);
  }
  if (sizes === undefined) return {};
  const { form, width, depth, cube: { patch, tubelet } } = sizes, heads = PUBLISHED_HEADS[width];
  return {
    "student.width": width,
    "student.depth": depth,
    ...(heads !== undefined && { "student.heads": heads }),
    "clip.patch": patch,
    "clip.tubelet": tubelet,
    "clip.form": form,
    // A picture.
    ...(form === "mae" && { "clip.frames": tubelet }),
  };
}

function cannotBeRead(path: string, cause: unknown): SettingsError {
  return new SettingsError([`--student ${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`]);
}
