/** Fetching the plugin, with a small wheel and installers made for the test. */
import { assert, assertEquals, assertFalse, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { dirname, join } from "node:path";
import { unpackMember } from "../../../models/runtime/_wheel.ts";
import { openEngine } from "../../../models/runtime/open_engine.ts";
import {
  fetchPlugin,
  type FetchProgress,
  findPlugin,
  namedPlugin,
  NamedPluginError,
  PluginError,
} from "../../../models/runtime/plugin.ts";
import { testsInOwnProcess } from "../../_own_process.ts";
import { sha256, smallWheel, withCommands } from "./_wheels.ts";

// They change PATH and the variables that name plugins and folders.
const test = testsInOwnProcess(import.meta.filename!);

const { data, library, wheel } = smallWheel();

/** A pip that delivers bytes under the wheel's name; the file is made beside the folder of plugins. */
async function withPip(
  bytes: Uint8Array<ArrayBuffer>,
  body: (world: { folder: string; calls: () => string[] }) => Promise<void>,
): Promise<void> {
  const source = await Deno.makeTempFile();
  try {
    await Deno.writeFile(source, bytes);
    await withCommands({ pip: `/bin/cp '${source}' "$dest/${wheel.file}"` }, body);
  } finally {
    await Deno.remove(source);
  }
}

/** Names in a folder, hidden ones included. */
function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name);
}

test("the library is fetched once, checked, and kept under its name, version and hash", async () => {
  await withPip(data, async ({ folder, calls }) => {
    assertEquals(findPlugin({ folder, wheel }), undefined);
    const steps: FetchProgress[] = [];
    const path = await fetchPlugin({ folder, wheel, onProgress: (progress) => steps.push(progress) });
    assertEquals(path, join(folder, `plug-1.2.3-${sha256(library).slice(0, 12)}`, "plug.so"));
    assertEquals(sha256(await Deno.readFile(path)), sha256(library));
    assertEquals(steps.at(-1), { step: "unpack", doneBytes: 300_000, totalBytes: 300_000 });
    assertEquals(names(folder), [dirname(path).slice(folder.length + 1)], "nothing else is left");
    const asked = calls();
    assertStringIncludes(asked.at(-1)!, "--no-deps --only-binary :all: --platform any");
    assertStringIncludes(asked.at(-1)!, "plug==1.2.3");
    assertEquals(await fetchPlugin({ folder, wheel }), path);
    assertEquals(findPlugin({ folder, wheel }), path);
    assertEquals(calls(), asked, "the second time nothing is asked");
  });
});

test("a library that was cut short on the disk is fetched again", async () => {
  await withPip(data, async ({ folder }) => {
    const path = await fetchPlugin({ folder, wheel });
    await Deno.truncate(path, 1000);
    assertEquals(await fetchPlugin({ folder, wheel }), path);
    assertEquals((await Deno.stat(path)).size, library.length);
  });
});

test("several processes may fetch at once", async () => {
  await withPip(data, async ({ folder }) => {
    const paths = await Promise.all([1, 2, 3].map(() => fetchPlugin({ folder, wheel })));
    assertEquals(new Set(paths).size, 1);
    assertEquals(sha256(await Deno.readFile(paths[0]!)), sha256(library));
    assertEquals(names(folder).length, 1);
  });
});

const wrong: [string, Uint8Array<ArrayBuffer>, Partial<typeof wheel>, string][] = [
  [
    "another wheel",
    Uint8Array.from([...data, 0]),
    {},
    `${wheel.file} has the SHA-256 ${sha256(Uint8Array.from([...data, 0]))}`,
  ],
  ["a wheel that was cut short", data.slice(0, -1), {}, `expected ${wheel.fileSha256}`],
  ["another library in the wheel", data, { memberSha256: "0".repeat(64) }, `expected ${"0".repeat(64)}`],
];
for (const [what, bytes, changed, message] of wrong) {
  test(`${what} is refused and not kept`, async () => {
    await withPip(bytes, async ({ folder }) => {
      const error = await assertRejects(() => fetchPlugin({ folder, wheel: { ...wheel, ...changed } }), PluginError);
      assertStringIncludes(error.message, message);
      assertStringIncludes(error.message, "damaged or not genuine");
      assertEquals(names(folder), []);
    });
  });
}

test("a failing download says what the installer says and what to do", async () => {
  const pip = `echo 'WARNING: Retrying' >&2; echo 'ERROR: No matching distribution found for plug==1.2.3' >&2; exit 1`;
  await withCommands({ pip }, async ({ folder }) => {
    const error = await assertRejects(() => fetchPlugin({ folder, wheel }), PluginError);
    assertStringIncludes(error.message, "pip could not download plug 1.2.3 (exit code 1): No matching distribution");
    assertStringIncludes(error.message, `set TUBELET_PJRT_PLUGIN to the path of its plug/plug.so`);
    assertEquals(names(folder), []);
  });
});

test("without pip, uv runs it", async () => {
  await withCommands({ uv: "exit 7" }, async ({ folder, calls }) => {
    await assertRejects(() => fetchPlugin({ folder, wheel }), PluginError, "uv tool run pip could not download");
    assertStringIncludes(calls().at(-1)!, "/uv tool run pip download");
  });
});

test("without pip and uv the error says so", async () => {
  await withCommands({}, async ({ folder }) => {
    await assertRejects(() => fetchPlugin({ folder, wheel }), PluginError, "neither pip nor uv is installed here");
  });
});

test("an interrupted download ends at once and leaves nothing", async () => {
  await withCommands({ pip: "exec /bin/sleep 60" }, async ({ folder }) => {
    const { signal } = new class extends AbortController {
      timer = setTimeout(() => this.abort(), 300);
    }();
    await assertRejects(() => fetchPlugin({ folder, wheel, signal }), DOMException, "aborted");
    assertEquals(names(folder), []);
  });
});

test("a plugin named by the environment goes first, and must be there", async () => {
  await withCommands({}, async ({ folder }) => {
    const path = new URL(import.meta.url).pathname;
    Deno.env.set("TUBELET_PJRT_PLUGIN", path);
    assertEquals(await fetchPlugin({ folder, wheel }), path);
    assertEquals(await fetchPlugin({ device: "cuda" }), path);
    Deno.env.set("TUBELET_PJRT_PLUGIN", "/nowhere/plugin.so");
    assertThrows(() => namedPlugin(), NamedPluginError, "names /nowhere/plugin.so, which is no file");
    const error = await assertRejects(() => openEngine({ warn: () => assert(false, "no other engine") }));
    assertEquals((error as NamedPluginError).exitCode, 2);
  });
});

test("a TPU's plugin is not fetched: the error says what to install", async () => {
  await withCommands({}, async () => {
    await assertRejects(() => fetchPlugin({ device: "tpu" }), PluginError, "install libtpu into the active Python");
    await assertRejects(() => openEngine({ device: "tpu" }), PluginError, "No XLA plugin for tpu");
  });
});

test("where XLA cannot be had, auto takes TensorFlow.js and says why in one line", async () => {
  await withCommands({}, async ({ folder }) => {
    const before = Deno.env.get("XDG_CACHE_HOME");
    Deno.env.set("XDG_CACHE_HOME", folder);
    try {
      const lines: string[] = [];
      const engine = await openEngine({ warn: (line) => lines.push(line) });
      assertEquals(engine.name, "tfjs");
      assertEquals(lines.length, 1);
      assertStringIncludes(lines[0]!, "neither pip nor uv");
      assertFalse(lines[0]!.includes("\n"));
      await assertRejects(() => openEngine({ engine: "xla" }), PluginError, "neither pip nor uv");
    } finally {
      if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
      else Deno.env.set("XDG_CACHE_HOME", before);
    }
  });
});

test("members are unpacked whether stored or deflated; what is no zip file is refused", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [file, into] = [join(folder, "a.whl"), join(folder, "out")];
    await Deno.writeFile(file, data);
    assertEquals(await unpackMember(file, "plug/__init__.py", into), sha256(new TextEncoder().encode("# nothing\n")));
    assertEquals(await Deno.readTextFile(into), "# nothing\n");
    await assertRejects(() => unpackMember(file, "plug/other.so", `${into}2`), SyntaxError, "holds no plug/other.so");
    await Deno.writeFile(file, data.subarray(0, data.length - 30));
    await assertRejects(() => unpackMember(file, wheel.member, `${into}3`), SyntaxError, "is no whole zip file");
    await Deno.writeFile(file, new Uint8Array());
    await assertRejects(() => unpackMember(file, wheel.member, `${into}4`), SyntaxError, "is no whole zip file");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
