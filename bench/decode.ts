/**
 * Clips a second of the decoder lanes: 16 frames from a random start, a multi-scale crop, 224 x 224, one lane a core.
 * Peers do the same job, in as many processes and into shared memory: PyAV (which skips unwanted pictures where that is
 * exact, as the lanes do), decord and torchcodec, as far as they are installed; each takes a turn in every round, and the
 * fastest is the peer of the row. Clips are real ones where the test clips are at hand, made ones of the same form else.
 *
 *     deno task bench decode [--filter prepare]
 */
import { encodeClip } from "../decoders/lists/_encode_clip.ts";
import { type ClipDecoder, decodeViews } from "../decoders/decoder.ts";
import { DecoderLanes } from "../decoders/lanes.ts";
import { uniforms } from "../pipeline/random.ts";
import { resolveSettings } from "../pipeline/settings.ts";
import { prepareFrames } from "../pipeline/stages/prepare.ts";
import { rulesOfViews, viewShape } from "../pipeline/stages/view_rules.ts";
import type { Bench, BenchContext, Measured } from "./_bench.ts";
import { peerValue } from "./_bench.ts";
import { median } from "../pipeline/median.ts";

const LANES = navigator.hardwareConcurrency;
const REAL = new URL("../../shared/clips/", import.meta.url).pathname;

/** A kind of clip. */
interface Kind {
  real: string;
  /** Frames between two taken ones. */
  stride: 2 | 4;
  /** Clips of a turn. */
  clips: number;
  make(folder: string): string;
}

const KINDS: Record<"ssv2" | "k400", Kind> = {
  ssv2: {
    real: "derived_ssv2like_pancake.webm",
    stride: 2,
    clips: 160,
    make: (folder) => made(`${folder}/ssv2.webm`, "vp9", 426, 240, 12, 48, { crf: "32", deadline: "good" }),
  },
  k400: {
    real: "k400_demo_340x256.mp4",
    stride: 4,
    clips: 80,
    make: (folder) => made(`${folder}/k400.mp4`, "h264", 340, 256, 28, 280, { crf: "23", preset: "medium" }),
  },
};

export const bench: Bench = {
  about: "Decoding and preparing clips, in clips a second",
  rows: [
    { name: "ssv2", unit: "clips/s", measure: (context) => besidePeers(KINDS.ssv2, LANES, context) },
    { name: "k400", unit: "clips/s", measure: (context) => besidePeers(KINDS.k400, LANES, context) },
    { name: "ssv2-1-lane", unit: "clips/s", measure: (context) => besidePeers(KINDS.ssv2, 1, context) },
    { name: "k400-1-lane", unit: "clips/s", measure: (context) => besidePeers(KINDS.k400, 1, context) },
    { name: "prepare-ssv2", unit: "clips/s", measure: (context) => prepareBesideDecoding(KINDS.ssv2, context) },
    { name: "prepare-k400", unit: "clips/s", measure: (context) => prepareBesideDecoding(KINDS.k400, context) },
    { name: "views-ssv2", unit: "views/s", measure: (context) => viewsTogether(KINDS.ssv2, context) },
    { name: "views-k400", unit: "views/s", measure: (context) => viewsTogether(KINDS.k400, context) },
    { name: "flat-10000", unit: "ms/clip", better: "less", measure: tenThousand },
  ],
};

/** What a view of the benchmark is. */
function settings(stride: number, size = 224) {
  const file = {
    data: { maxBad: "0" },
    clip: { size, patch: 16, frames: 16, tubelet: 2, stride, sampling: "k400", crop: "multi-scale", rowsPerShard: 64 },
  };
  return resolveSettings({ preset: "demo", file, flags: {} }).settings;
}

/** Decodes clips, each with its own window and crop, with as many at a time as lanes can use. */
async function decode(
  decoder: DecoderLanes,
  path: string,
  from: ReturnType<typeof settings>,
  numbers: Iterable<number>,
  lanes: number,
): Promise<void> {
  const [rules] = rulesOfViews(from), { bytes } = viewShape(rules!), todo = numbers[Symbol.iterator]();
  const lane = async () => {
    const cubes = new Uint8Array(bytes);
    for (let next = todo.next(); !next.done; next = todo.next()) {
      await decoder.decode({ ...rules!, path, draws: [...uniforms(3, 0, "bench", next.value)] }, cubes);
    }
  };
  await Promise.all(Array.from({ length: 2 * lanes }, lane));
}

/** Work done a second. */
async function rate(count: number, work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return count * 1000 / (performance.now() - began);
}

async function besidePeers(kind: Kind, lanes: number, context: BenchContext): Promise<Measured> {
  return await inFolder(async (folder) => {
    const path = clipOf(kind, folder), from = settings(kind.stride), clips = Math.ceil(kind.clips * lanes / LANES);
    const peers = await peersOf(context), rates = new Map<string, number[]>([["ours", []]]);
    await using decoder = new DecoderLanes({ lanes });
    await decode(decoder, path, from, Array(4 * lanes).keys(), lanes);
    const args = [
      "--files",
      path,
      "--stride",
      kind.stride,
      "--lanes",
      lanes,
      "--clips",
      clips,
      "--repeats",
      1,
      "--skip-nonref",
    ];
    for (let round = 0; round < context.rounds; round++) {
      context.say(`round ${round + 1} of ${context.rounds}`);
      rates.get("ours")!.push(
        await rate(clips, () => decode(decoder, path, from, numbersFrom(round * clips, clips), lanes)),
      );
      for (const { name, script } of peers) {
        const seen = rates.get(name) ?? rates.set(name, []).get(name)!;
        seen.push(
          await peerValue(context.python!, script, [...args.map(String), "--seed", `${round}`, "--backend", name]),
        );
      }
    }
    const medians = new Map([...rates].map(([name, values]) => [name, median(values)]));
    const best = peers.map(({ name }) => name).sort((a, b) => medians.get(b)! - medians.get(a)!)[0];
    const all = [...rates].map(([name, values]) => `${name} ${values.map((value) => value.toFixed(1)).join(" ")}`);
    return {
      ours: medians.get("ours")!,
      peer: best === undefined ? null : medians.get(best)!,
      peerName: best ?? null,
      note: `${lanes} lanes, stride ${kind.stride}, ${clips} clips a round; ${all.join("; ")}`,
    };
  });
}

/** The peers that the python has, with their script. */
async function peersOf({ python, peers }: BenchContext): Promise<{ name: string; script: string }[]> {
  if (python === null || peers === null) return [];
  const code = "import importlib.util as u; print(*(n for n, m in " +
    "[('pyav', 'av'), ('decord', 'decord'), ('torchcodec', 'torchcodec')] if u.find_spec(m)))";
  const { stdout } = await new Deno.Command(python, { args: ["-c", code] }).output();
  const names = new TextDecoder().decode(stdout).trim().split(" ").filter(Boolean);
  return names.map((name) => ({ name, script: `${peers}/pyav_decode.py` }));
}

/** Sealed shards beside decoding alone, in turns. */
async function prepareBesideDecoding(kind: Kind, context: BenchContext): Promise<Measured> {
  return await inFolder(async (folder) => {
    const path = clipOf(kind, folder), from = settings(kind.stride), prepared: number[] = [], decoded: number[] = [];
    const list = {
      clips: Array.from({ length: kind.clips }, (_, i) => ({ name: `${i}`, path, label: null })),
      sha256: "0".repeat(64),
      format: "bench",
    };
    await using decoder = new DecoderLanes({ lanes: LANES });
    await decode(decoder, path, from, Array(4 * LANES).keys(), LANES);
    for (let round = 0; round < context.rounds; round++) {
      context.say(`round ${round + 1} of ${context.rounds}`);
      decoded.push(await rate(kind.clips, () => decode(decoder, path, from, Array(kind.clips).keys(), LANES)));
      const cache = `${folder}/cache-${round}`;
      const options = { list, split: "train", settings: from, cache, decoder, parallel: 2 * LANES };
      prepared.push(await rate(kind.clips, () => prepareFrames(options)));
      await Deno.remove(cache, { recursive: true });
    }
    const note = `${LANES} lanes, ${kind.clips} clips a round in shards of 64 rows, synced and verified`;
    return { ours: median(prepared), peer: median(decoded), peerName: "decoding alone", note };
  });
}

/** Four views of a clip from one reading of it beside each view from a reading of its own, in turns. */
async function viewsTogether(kind: Kind, context: BenchContext): Promise<Measured> {
  return await inFolder(async (folder) => {
    const path = clipOf(kind, folder), views = 4, clips = kind.clips / views;
    const [rules] = rulesOfViews(settings(kind.stride)), { bytes } = viewShape(rules!);
    await using decoder = new DecoderLanes({ lanes: LANES });
    const all = async (turn: number, separately: boolean) => {
      const todo = Array(clips).keys(), { decode } = decoder;
      const one: ClipDecoder = separately ? { decode: decode.bind(decoder) } : decoder;
      const lane = async () => {
        const into = Array.from({ length: views }, () => new Uint8Array(bytes));
        for (const clip of todo) {
          const draws = (view: number) => [...uniforms(3, turn, "bench", clip, view)];
          await decodeViews(one, into.map((_, view) => ({ ...rules!, path, draws: draws(view) })), into);
        }
      };
      await Promise.all(Array.from({ length: 2 * LANES }, lane));
    };
    await all(0, false);
    const together: number[] = [], alone: number[] = [];
    for (let round = 0; round < context.rounds; round++) {
      context.say(`round ${round + 1} of ${context.rounds}`);
      together.push(await rate(kind.clips, () => all(round, false)));
      alone.push(await rate(kind.clips, () => all(round, true)));
    }
    const note = `${views} views a clip, ${LANES} lanes, stride ${kind.stride}, ${clips} clips a round`;
    return { ours: median(together), peer: median(alone), peerName: "each view alone", note };
  });
}

/** Time and memory of the last 100 of 10,000 small clips beside the first 100. */
async function tenThousand(context: BenchContext): Promise<Measured> {
  return await inFolder(async (folder) => {
    const path = made(`${folder}/small.mp4`, "h264", 64, 48, 10, 32, {}), from = settings(2, 32);
    await using decoder = new DecoderLanes({ lanes: LANES });
    const hundred = async (start: number) =>
      1000 / await rate(100, () => decode(decoder, path, from, numbersFrom(start, 100), LANES));
    await hundred(0);
    const first = median([await hundred(0), await hundred(100), await hundred(200)]), before = memoryMb();
    await decode(decoder, path, from, numbersFrom(300, 9400), LANES);
    const last = median([await hundred(9700), await hundred(9800), await hundred(9900)]), after = memoryMb();
    context.say(`${first.toFixed(2)} ms a clip at first, ${last.toFixed(2)} at last`);
    const note = `small clips; memory of all processes ${before} MB after 400, ${after} MB after 10,100`;
    return { ours: last, peer: first, peerName: "the first 300", note };
  });
}

function* numbersFrom(start: number, count: number): Generator<number> {
  for (let i = 0; i < count; i++) yield start + i;
}

/** Resident memory of this process and of those it has started, MB; of this one alone where there is no /proc. */
function memoryMb(): number {
  let bytes = Deno.memoryUsage().rss;
  if (Deno.build.os !== "linux") return Math.round(bytes / 1e6);
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(fields[1]) === Deno.pid) bytes += Number(fields[21]) * 4096;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return Math.round(bytes / 1e6);
}

function clipOf({ real, make }: Kind, folder: string): string {
  try {
    Deno.statSync(REAL + real);
    return REAL + real;
  } catch {
    return make(folder);
  }
}

/** A clip of moving waves with grain, so that there is something to code in every picture. */
function made(
  path: string,
  codec: "h264" | "vp9",
  width: number,
  height: number,
  fps: number,
  frames: number,
  settings: Record<string, string>,
): string {
  const log: Record<string, string> = codec === "h264" ? { "x264-params": "log-level=none" } : {};
  const picture = (number: number) => {
    const grain = uniforms(4096, 1, "grain", number), rgb = new Uint8Array(width * height * 3);
    for (let i = 0; i < rgb.length; i++) {
      const x = (i / 3 | 0) % width, y = i / 3 / width | 0, channel = i % 3;
      const wave = Math.sin((x + 3 * number) / (11 + 5 * channel)) * Math.cos((y - 2 * number) / (17 - 3 * channel));
      rgb[i] = 128 + 90 * wave + 24 * grain[(i * 31 + (y * 7)) & 4095]! - 12;
    }
    return rgb;
  };
  const pictures = Iterator.from(numbersFrom(0, frames)).map(picture);
  encodeClip(path, pictures, { width, height, fps, codec, settings: { ...log, ...settings } });
  return path;
}

async function inFolder<Result>(body: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await Deno.makeTempDir({ prefix: "tubelet_bench_" });
  try {
    return await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
