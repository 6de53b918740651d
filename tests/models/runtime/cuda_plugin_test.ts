/** Finding and fetching the CUDA plugin, with Python environments and a pip made for the test: nothing here needs a GPU. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { dirname, join } from "node:path";
import { cudaLibraries } from "../../../models/runtime/_cuda_plugin.ts";
import { CUDA_WHEELS } from "../../../models/runtime/_cuda_wheels.ts";
import { autoDevice } from "../../../models/runtime/open_engine.ts";
import { fetchPlugin, findPlugin, PluginError } from "../../../models/runtime/plugin.ts";
import { testsInOwnProcess } from "../../_own_process.ts";
import { withCommands } from "./_wheels.ts";

// They change PATH and the variables that name plugins and folders.
const test = testsInOwnProcess(import.meta.filename!);

const MEMBER = "jax_plugins/xla_cuda13/xla_cuda_plugin.so";
const here = { device: "cuda", opens: () => true } as const;

/** Without the environment that the tests themselves may run in. */
async function withoutPython(
  commands: Readonly<Record<string, string>>,
  body: (world: { folder: string; calls: () => string[] }) => Promise<void>,
): Promise<void> {
  const before = new Map(["VIRTUAL_ENV", "CONDA_PREFIX"].map((name) => [name, Deno.env.get(name)]));
  for (const name of before.keys()) Deno.env.delete(name);
  try {
    await withCommands(commands, body);
  } finally {
    for (const [name, value] of before) value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  }
}

/** Empty files below a folder. */
async function make(folder: string, files: readonly string[]): Promise<void> {
  for (const file of files) {
    await Deno.mkdir(dirname(join(folder, file)), { recursive: true });
    await Deno.writeTextFile(join(folder, file), "");
  }
}

test("the plugin of the active environment is found, and that of the Python on the path", async () => {
  const environment = await Deno.makeTempDir();
  try {
    const packages = join(environment, "lib", "python3.12", "site-packages");
    await make(packages, [MEMBER, "libtpu/libtpu.so"]);
    await withoutPython({ python3: `echo; echo ${packages}` }, async ({ folder }) => {
      assertEquals(findPlugin({ device: "cuda", folder }), join(packages, MEMBER));
      assertEquals(findPlugin({ device: "tpu", folder }), join(packages, "libtpu/libtpu.so"));
      assertEquals(await fetchPlugin({ device: "cuda", folder }), join(packages, MEMBER), "nothing is fetched");
    });
    for (const variable of ["VIRTUAL_ENV", "CONDA_PREFIX"]) {
      // deno-lint-ignore require-await -- the helper awaits its body
      await withoutPython({}, async ({ folder }) => {
        assertEquals(findPlugin({ device: "cuda", folder }), undefined);
        Deno.env.set(variable, environment);
        assertEquals(findPlugin({ device: "cuda", folder }), join(packages, MEMBER), variable);
      });
    }
  } finally {
    await Deno.remove(environment, { recursive: true });
  }
});

test("libraries are opened each after those it needs, and only by the names that others ask for", async () => {
  const packages = await Deno.makeTempDir();
  try {
    const cuda = ["libcublas.so.13", "libcublasLt.so.13", "libcudart.so.13", "libcudart_static.a", "libcusolver.so.12"];
    await make(packages, [
      MEMBER,
      ...cuda.map((name) => `nvidia/cu13/lib/${name}`),
      "nvidia/cudnn/lib/libcudnn.so.9",
      "nvidia/cudnn/lib/libcudnn_graph.so.9",
      "nvidia/nccl/lib/libnccl.so.2",
      "nvidia/nvshmem/lib/libnvshmem_host.so.3",
    ]);
    // deno-lint-ignore require-await -- the helper awaits its body
    await withoutPython({ python3: `echo ${packages}` }, async () => {
      const expected = [
        "cu13/lib/libcudart.so.13",
        "cu13/lib/libcublasLt.so.13",
        "cu13/lib/libcublas.so.13",
        "cu13/lib/libcusolver.so.12",
        "nccl/lib/libnccl.so.2",
        "nvshmem/lib/libnvshmem_host.so.3",
        "cudnn/lib/libcudnn.so.9",
      ].map((path) => join(packages, "nvidia", path));
      assertEquals(cudaLibraries(join(packages, MEMBER)), expected, "beside the plugin");
      assertEquals(cudaLibraries("/elsewhere/a/b/xla_cuda_plugin.so"), expected, "of Python");
    });
  } finally {
    await Deno.remove(packages, { recursive: true });
  }
});

/** A pip that installs: makes the plugin under --target, and keeps the list of what was asked for beside it. */
const PIP = `set -- $asked; while [ $# -gt 0 ]; do
  if [ "$1" = --target ]; then target=$2; fi; if [ "$1" = --requirement ]; then list=$2; fi; shift; done
/bin/mkdir -p "$target/${dirname(MEMBER)}"; /bin/cp "$list" "$target/${MEMBER}"`;

test("without an environment pip installs the pinned wheels, once, and checks their hashes", async () => {
  await withoutPython({ pip: PIP }, async ({ folder, calls }) => {
    const path = await fetchPlugin({ ...here, folder });
    assertEquals(path, join(folder, `jax-cuda13-pjrt-0.10.2-${CUDA_WHEELS[0]![3].slice(0, 12)}`, MEMBER));
    const asked = calls().at(-1)!;
    assertStringIncludes(asked, "pip install ");
    assertStringIncludes(asked, "--no-deps --only-binary :all: ");
    assertStringIncludes(asked, "--require-hashes");
    const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
    assertEquals(lines.length, CUDA_WHEELS.length);
    for (const line of lines) assertMatch(line, /^[a-z\d-]+==[\d.]+ --hash=sha256:[\da-f]{64}$/);
    const before = calls().length;
    assertEquals(await fetchPlugin({ ...here, folder }), path);
    assertEquals(calls().length, before, "the second time nothing is asked");
    assertEquals([...Deno.readDirSync(folder)].length, 1, "nothing else is left");
  });
});

test("a failing installation says why and what to do, and leaves nothing", async () => {
  await withoutPython(
    { pip: "echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES' >&2; exit 1" },
    async ({ folder }) => {
      const error = await assertRejects(() => fetchPlugin({ ...here, folder }), PluginError);
      assertStringIncludes(error.message, "pip could not install jax-cuda13-pjrt 0.10.2 (exit code 1): THESE PACKAGES");
      assertStringIncludes(error.message, "install jax-cuda13-plugin[with-cuda] into the active Python environment");
      assertEquals([...Deno.readDirSync(folder)], []);
    },
  );
});

test("where there is no driver 2.2 GB are not fetched", async () => {
  await withoutPython({ pip: "exit 1" }, async ({ folder, calls }) => {
    const driverless = () => fetchPlugin({ device: "cuda", folder, opens: () => false });
    await assertRejects(driverless, PluginError, "no NVIDIA driver (libcuda.so.1)");
    assertEquals(calls(), []);
  });
});

test("auto is the named plugin's device, else CUDA where it is, else the CPU", () => {
  const never = () => {
    throw new Error("not asked");
  };
  assertEquals(autoDevice("/a/xla_cuda_plugin.so", never), "cuda");
  assertEquals(autoDevice("/cuda/libtpu.so", never), "tpu");
  assertEquals(autoDevice("/gpu/xla_cpu_pjrt.so", never), "cpu");
  assertEquals(autoDevice(undefined, () => true), "cuda");
  assertEquals(autoDevice(undefined, () => false), "cpu");
});
