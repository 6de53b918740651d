/**
 * The layers: imports go tasks -> pipeline -> {decoders, models}, never round in a circle; one folder each knows FFmpeg,
 * HDF5, TensorFlow.js and native code. The graph is Deno's own (`deno info`), type imports and dynamic ones included.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { join, relative } from "node:path";
import { runDeno } from "./_child.ts";

const ROOT = join(import.meta.dirname!, "..");

/** What each top folder may import of ours beside itself. Tests and benchmarks may import everything. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "mod.ts": ["pipeline", "decoders", "models"],
  tasks: ["pipeline", "mod.ts"],
  pipeline: ["decoders", "models"],
  decoders: [],
  models: [],
};

/** Packages that only one folder may import. */
const OWNERS: [RegExp, string][] = [
  [/^(?:node-av|fluent-ffmpeg|@types\/fluent-ffmpeg|ffmpeg-static|ffprobe-static)$/, "decoders/"],
  [/^(?:h5wasm|jsfive|hdf5)$/, "pipeline/shards/"],
  [/^@tensorflow\//, "models/runtime/"],
  [/^vega(?:-lite)?$/, "pipeline/report/"],
  [/^onnxruntime-/, "pipeline/"],
  [/^@std\/cli$/, "tasks/"],
  [/^@std\/assert$/, "tests/"],
];

/** An import: both ends relative to the root, or the name of a package. */
type Edge = [from: string, to: string];

function isForbidden([from, to]: Edge): boolean {
  const [source, target] = [from, to].map((path) => path.split("/")[0] as string) as [string, string];
  const allowed = MAY_IMPORT[source];
  return allowed !== undefined && source !== target && !allowed.includes(target);
}

function isForeign([from, name]: Edge): boolean {
  return OWNERS.some(([pattern, owner]) => pattern.test(name) && !from.startsWith(owner));
}

/** One circle of imports, as the files on it; undefined if there is none. */
function findCycle(edges: readonly Edge[]): string[] | undefined {
  const next = Map.groupBy(edges, ([from]) => from);
  const done = new Set<string>();
  const visit = (file: string, path: string[]): string[] | undefined => {
    const start = path.indexOf(file);
    if (start >= 0) return [...path.slice(start), file];
    if (done.has(file)) return undefined;
    for (const [, to] of next.get(file) ?? []) {
      const cycle = visit(to, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of next.keys()) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}

function sourceFiles(folder: string): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? sourceFiles(path) : /\.[mc]?[tj]sx?$/.test(name) ? [path] : [];
  });
}

const files = ["mod.ts", ...["tasks", "pipeline", "decoders", "models"].flatMap(sourceFiles)];

interface Dependency {
  code?: { specifier?: string; error?: string };
  type?: { specifier?: string; error?: string };
}

interface ModuleGraph {
  modules: { specifier: string; error?: string; dependencies?: Dependency[] }[];
}

/** All imports of our files. Files that are only started as workers or child processes are roots of their own. */
async function readGraph(): Promise<{ ours: Edge[]; packages: Edge[] }> {
  const folder = await Deno.makeTempDir();
  try {
    const root = join(folder, "root.ts");
    await Deno.writeTextFile(
      root,
      files.map((file) => `import ${JSON.stringify(`file://${join(ROOT, file)}`)};\n`).join(""),
    );
    const args = ["info", "--json", "--config", join(ROOT, "deno.json"), root];
    const { code, out, error } = await runDeno(args, { cwd: ROOT });
    assertEquals(code, 0, error);
    const graph: ModuleGraph = JSON.parse(out);
    return edgesOf(graph);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function edgesOf(graph: ModuleGraph): { ours: Edge[]; packages: Edge[] } {
  const ours: Edge[] = [];
  const packages: Edge[] = [];
  for (const { specifier, error, dependencies = [] } of graph.modules) {
    const from = pathOf(specifier);
    if (from === undefined || !files.includes(from)) continue;
    assertEquals(error, undefined, `${from} cannot be read`);
    for (const { code, type } of dependencies) {
      for (const to of new Set([code?.specifier, type?.specifier])) {
        if (to === undefined) continue;
        const path = pathOf(to);
        const name = packageOf(to, path);
        if (name !== undefined) packages.push([from, name]);
        else if (path !== undefined) ours.push([from, path]);
      }
    }
  }
  return { ours, packages };
}

/** The package behind a specifier; the linked ones under vendor/ count under the names they stand for. */
function packageOf(specifier: string, path: string | undefined): string | undefined {
  const linked = /^vendor\/std_(\w+)\//.exec(path ?? "")?.[1];
  return linked ? `@std/${linked}` : /^(?:npm|jsr):\/?((?:@[^/@]+\/)?[^/@]+)/.exec(specifier)?.[1];
}

function pathOf(specifier: string): string | undefined {
  if (!specifier.startsWith("file://")) return undefined;
  const path = relative(ROOT, decodeURIComponent(new URL(specifier).pathname));
  return path.startsWith("..") ? undefined : path;
}

const show = (edges: Edge[]) => edges.map(([from, to]) => `${from} imports ${to}`);

Deno.test("imports go downwards only, without circles, and special packages stay in their folder", async (t) => {
  const { ours, packages } = await readGraph();
  assertGreater(ours.length, 20);
  await t.step("no import goes up or sideways", () => assertEquals(show(ours.filter(isForbidden)), []));
  await t.step("no file imports itself through others", () => assertEquals(findCycle(ours), undefined));
  await t.step("packages stay in their folder", () => assertEquals(show(packages.filter(isForeign)), []));
});

Deno.test("native code is called in models/runtime only", async () => {
  const callers: string[] = [];
  for (const file of files) {
    if (/\bDeno\s*\.\s*dlopen\s*\(/.test(await Deno.readTextFile(join(ROOT, file)))) callers.push(file);
  }
  assertEquals(callers.filter((file) => !file.startsWith("models/runtime/")), []);
});

Deno.test("the rules see what they forbid", () => {
  const forbidden: Edge[] = [
    ["decoders/libav.ts", "models/amd.ts"],
    ["models/amd.ts", "pipeline/settings.ts"],
    ["pipeline/loader.ts", "tasks/_cli.ts"],
    ["decoders/libav.ts", "mod.ts"],
    ["pipeline/loader.ts", "tests/helper.ts"],
    ["tasks/plan.ts", "models/amd.ts"],
  ];
  const fine: Edge[] = [
    ["tasks/plan.ts", "pipeline/plan.ts"],
    ["pipeline/loader.ts", "models/amd.ts"],
    ["pipeline/loader.ts", "pipeline/shards/reader.ts"],
    ["mod.ts", "models/amd.ts"],
  ];
  assert(forbidden.every(isForbidden));
  assert(!fine.some(isForbidden));
  assert(isForeign(["pipeline/loader.ts", "node-av"]));
  assert(!isForeign(["decoders/libav.ts", "node-av"]));
  assert(isForeign(["pipeline/loader.ts", "h5wasm"]));
  assert(isForeign(["models/amd.ts", "@tensorflow/tfjs-core"]));
  assertEquals(packageOf("npm:/@tensorflow/tfjs-core@4.22.0/dist/x", undefined), "@tensorflow/tfjs-core");
  assertEquals(packageOf("npm:/node-av@6.1.1/lib", undefined), "node-av");
  assertEquals(packageOf("file:///x/vendor/std_cli/mod.ts", "vendor/std_cli/mod.ts"), "@std/cli");
  assertEquals(packageOf("file:///x/models/amd.ts", "models/amd.ts"), undefined);
  assertEquals(findCycle([["a", "b"], ["b", "c"], ["d", "b"], ["c", "b"]]), ["b", "c", "b"]);
  assertEquals(findCycle([["a", "b"], ["a", "c"], ["b", "c"]]), undefined);
});
