/** What every stage gets, and how settings become the shapes of the networks. */
import type { Engine } from "../../models/runtime/engine.ts";
import { preferredCompute } from "../../models/runtime/open_engine.ts";
import type { Compute, CubeSize, TokenGrid, TransformerShape, VideoMaeShape } from "../../models/shapes.ts";
import { maskCounts } from "../../models/tube_masks.ts";
import type { Progress } from "../progress.ts";
import type { RunFolder } from "../run_folder.ts";
import type { Settings } from "../settings.ts";
import type { MaskSizes } from "../training/mask_draws.ts";

/** What a stage works with. */
export interface StageContext {
  readonly settings: Settings;
  readonly run: RunFolder;
  /** The engine of this process, opened at the first call. */
  readonly engine: () => Promise<Engine>;
  /** Aborted by the first Ctrl-C: finish the step, write a checkpoint, throw `signal.reason`. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** A line for the user, on stdout. */
  readonly print: (line: string) => void;
  /** A line for the user, on stderr. */
  readonly warn: (line: string) => void;
}

/** Whether the run pre-trains its student, and from a teacher. */
export function learnsFrom({ student, pretrain }: Settings): "teacher" | "pixels" | "nothing" {
  if (student.weights !== null) return "nothing";
  return pretrain.method === "amd" ? "teacher" : "pixels";
}

/** Cubes of a view. */
export function tokenGrid({ clip }: Settings): TokenGrid {
  const side = clip.size / clip.patch;
  return { slots: clip.frames / clip.tubelet, rows: side, columns: side };
}

/** Size of a cube. */
export function cubeSize({ clip }: Settings): CubeSize {
  return { tubelet: clip.tubelet, patch: clip.patch };
}

/** The student's encoder and pixel decoder. */
export function studentShape(settings: Settings): VideoMaeShape {
  return networkShape(settings, settings.student);
}

/** The teacher's encoder, and the pixel decoder it is trained with. */
export function teacherShape(settings: Settings): VideoMaeShape {
  return networkShape(settings, settings.teacher);
}

interface NetworkSettings extends TransformerShape {
  decoderWidth: number;
  decoderDepth: number;
  decoderHeads: number;
}

function networkShape(settings: Settings, network: NetworkSettings): VideoMaeShape {
  return {
    form: settings.clip.form,
    grid: tokenGrid(settings),
    cube: cubeSize(settings),
    encoder: { width: network.width, depth: network.depth, heads: network.heads },
    decoder: { width: network.decoderWidth, depth: network.decoderDepth, heads: network.decoderHeads },
  };
}

/** How many positions of a slot each network sees. */
export function maskSizes(settings: Settings): MaskSizes {
  const { slots, rows, columns } = tokenGrid(settings);
  const positions = rows * columns;
  const counts = maskCounts(positions, settings.masks.studentRatio, settings.masks.teacherRatio);
  return { slots, positions, student: counts.studentVisible, teacher: counts.teacherVisible };
}

/** The number format of matrix products: as set, else what the engine computes fastest. */
export function computeType({ run }: Settings, engine: Engine): Compute {
  return run.precision === "auto" ? preferredCompute(engine) : run.precision;
}
