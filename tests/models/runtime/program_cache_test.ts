/** Compiled programs on disk: what is kept, what is dropped, and that a program read back is the one that was written. */
import { testInOwnProcess } from "../../_own_process.ts";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertMatch, assertNotEquals } from "@std/assert";
import { join } from "node:path";
import { processorFeatures } from "../../../models/runtime/_processor.ts";
import { programIdentity } from "../../../models/runtime/_program_identity.ts";
import { PjrtClient } from "../../../models/runtime/pjrt/client.ts";
import { fetchPlugin } from "../../../models/runtime/plugin.ts";
import {
  type Compilation,
  PROGRAM_CACHE_VARIABLE,
  ProgramCache,
  programKey,
  userProgramCache,
} from "../../../models/runtime/program_cache.ts";
import { openXlaEngine, XlaEngine } from "../../../models/runtime/xla.ts";
import { input, layerNorm, matmul, program, softmax, sum } from "../../../models/tensor/mod.ts";
import { optimizingXlaEngine } from "../_engines.ts";

/** A compiler whose programs are texts, and a record of what it was asked for. */
function compiler(source: string, calls: string[], { refuse = false } = {}): Compilation<string> {
  return {
    compile: () => (calls.push("compile"), Promise.resolve(`program of ${source}`)),
    serialize: (made) => (calls.push("serialize"), Promise.resolve(new TextEncoder().encode(made))),
    load: (bytes) => {
      calls.push("load");
      if (refuse) return Promise.reject(new Error("not mine"));
      return Promise.resolve(new TextDecoder().decode(bytes));
    },
  };
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(join(folder, "programs"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const key = programKey({ text: "a" });

Deno.test("a program is compiled once, and read by the caches of later processes", async () => {
  await inFolder(async (folder) => {
    const calls: string[] = [];
    for (let process = 0; process < 3; process++) {
      const cache = new ProgramCache({ folder });
      assertEquals(await cache.get(key, compiler("a", calls)), "program of a");
    }
    assertEquals(calls, ["compile", "serialize", "load", "load"]);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), [`${key}.program`]);
  });
});

Deno.test("any part that differs gives a program another name, wherever it stands", () => {
  const keys = [{ a: "x", b: "y" }, { a: "xy", b: "" }, { a: "y", b: "x" }, { a: "x", b: null }, { a: "x" }];
  assertEquals(new Set(keys.map(programKey)).size, keys.length);
  assertEquals(programKey({ a: 1, b: 2 }), programKey({ b: 2, a: 1 }));
});

Deno.test("a file cut short, changed in one bit, empty or under another's name is never loaded: it is made again", async () => {
  const damages: ((path: string, file: Uint8Array) => void)[] = [
    (path, file) => Deno.writeFileSync(path, file.subarray(0, -1)),
    (path, file) => Deno.writeFileSync(path, file.subarray(0, 20)),
    (path) => Deno.writeFileSync(path, new Uint8Array()),
    ...[0, 20, 49, 50, 60].map((at) => (path: string, file: Uint8Array) => {
      file[at]! ^= 1;
      Deno.writeFileSync(path, file);
    }),
  ];
  await inFolder(async (folder) => {
    const path = join(folder, `${key}.program`);
    for (const damage of damages) {
      await new ProgramCache({ folder }).get(key, compiler("a", []));
      const whole = Deno.readFileSync(path), calls: string[] = [];
      damage(path, whole.slice());
      assertNotEquals(Deno.readFileSync(path), whole);
      assertEquals(await new ProgramCache({ folder }).get(key, compiler("a", calls)), "program of a");
      assertEquals(calls, ["compile", "serialize"]);
      assertEquals(Deno.readFileSync(path), whole);
    }
    const other = programKey({ text: "b" }), calls: string[] = [];
    Deno.copyFileSync(path, join(folder, `${other}.program`));
    assertEquals(await new ProgramCache({ folder }).get(other, compiler("b", calls)), "program of b");
    assertEquals(calls, ["compile", "serialize"]);
  });
});

Deno.test("a program that the plugin refuses is compiled and written anew", async () => {
  await inFolder(async (folder) => {
    const calls: string[] = [], cache = new ProgramCache({ folder });
    await cache.get(key, compiler("old", []));
    assertEquals(await cache.get(key, compiler("new", calls, { refuse: true })), "program of new");
    assertEquals(calls, ["load", "compile", "serialize"]);
    assertEquals(await cache.get(key, compiler("new", [])), "program of new");
  });
});

Deno.test("beyond its limit the folder loses what was not used for longest, and what killed processes left", async () => {
  await inFolder(async (folder) => {
    const cache = new ProgramCache({ folder, limitBytes: 200 });
    const keys = ["a", "b", "c"].map((text) => programKey({ text }));
    const age = (name: string, hours: number) => {
      const then = new Date(Date.now() - hours * 3_600_000);
      Deno.utimeSync(join(folder, name), then, then);
    };
    // 62 bytes a program: three fit.
    for (const [i, text] of ["a", "b", "c"].entries()) {
      await cache.get(keys[i]!, compiler(text, []));
      age(`${keys[i]}.program`, 9 - i);
    }
    Deno.writeTextFileSync(join(folder, ".new-old"), "half");
    age(".new-old", 2);
    Deno.writeTextFileSync(join(folder, ".new-fresh"), "half");
    await cache.get(keys[0]!, compiler("a", []));
    await cache.get(programKey({ text: "d" }), compiler("d", []));
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    const expected = [".new-fresh", ...[keys[0]!, keys[2]!, programKey({ text: "d" })].map((k) => `${k}.program`)];
    assertEquals(left, expected.sort());
    await cache.get(programKey({ text: "large" }), compiler("x".repeat(300), []));
    assertEquals([...Deno.readDirSync(folder)].length, left.length);
  });
});

Deno.test("a folder that cannot be made or written, or that others may write to, is one warning and no error", async () => {
  await inFolder(async (folder) => {
    Deno.writeTextFileSync(folder, "a file where the folder should be");
    const open = join(folder, "..", "open");
    Deno.mkdirSync(open);
    Deno.chmodSync(open, 0o777);
    for (
      const [named, reason] of [[folder, /directory|exists/i], [open, /others may write to it \(chmod go-w/]] as const
    ) {
      const lines: string[] = [], calls: string[] = [];
      const cache = new ProgramCache({ folder: named, warn: (line) => void lines.push(line) });
      for (let i = 0; i < 2; i++) assertEquals(await cache.get(key, compiler("a", calls)), "program of a");
      assertEquals(lines.length, 1);
      assert(!lines[0]!.includes("\n") && lines[0]!.includes(`${PROGRAM_CACHE_VARIABLE} to another folder`), lines[0]);
      assertMatch(lines[0]!, reason);
      assertLess(calls.length, 4);
    }
    assertEquals([...Deno.readDirSync(open)], []);
  });
});

Deno.test("a full disk is one warning, and nothing half written is left", async () => {
  await inFolder(async (folder) => {
    const lines: string[] = [], { writeSync } = Deno.FsFile.prototype;
    const cache = new ProgramCache({ folder, warn: (line) => void lines.push(line) });
    let writes = 0;
    Deno.FsFile.prototype.writeSync = function (bytes) {
      if (writes++ > 0) throw new Error("No space left on device (os error 28)");
      return writeSync.call(this, bytes.subarray(0, 10));
    };
    try {
      assertEquals(await cache.get(key, compiler("a", [])), "program of a");
    } finally {
      Deno.FsFile.prototype.writeSync = writeSync;
    }
    assertEquals([writes, lines.length, [...Deno.readDirSync(folder)]], [2, 1, []]);
    assertMatch(lines[0]!, /No space left/);
  });
});

Deno.test("a planted program in a folder that others may write to is not loaded", async () => {
  await inFolder(async (folder) => {
    await new ProgramCache({ folder }).get(key, compiler("a", []));
    Deno.chmodSync(folder, 0o775);
    const calls: string[] = [];
    await new ProgramCache({ folder }).get(key, compiler("a", calls));
    assertEquals(calls, ["compile"]);
  });
});

Deno.test("processes that compile one program at once leave one whole file", async () => {
  await inFolder(async (folder) => {
    const caches = Array.from({ length: 8 }, () => new ProgramCache({ folder }));
    const found = await Promise.all(caches.map((cache) => cache.get(key, compiler("a", []))));
    assertEquals(new Set(found), new Set(["program of a"]));
    const calls: string[] = [];
    await new ProgramCache({ folder }).get(key, compiler("a", calls));
    assertEquals([calls, [...Deno.readDirSync(folder)].length], [["load"], 1]);
  });
});

testInOwnProcess(import.meta.filename!, {
  name: "the variable names another folder, or switches the cache off",
  async fn() {
    await inFolder(async (folder) => {
      Deno.env.set(PROGRAM_CACHE_VARIABLE, folder);
      await userProgramCache()!.get(key, compiler("a", []));
      assertEquals([...Deno.readDirSync(folder)].length, 1);
    });
    Deno.env.set(PROGRAM_CACHE_VARIABLE, "off");
    assertEquals(userProgramCache(), undefined);
  },
});

const engine = await optimizingXlaEngine() as XlaEngine | undefined;
const ignore = engine === undefined || processorFeatures() === undefined;

const w = input("w", [8, 8]), x = input("x", [4, 8]);
const hidden = softmax(matmul(x, w));
const step = program("kept", {
  w: matmul(hidden, x, { transposeA: true }),
  loss: sum(layerNorm(hidden, input("scale", [8]), input("shift", [8]), 1e-6)),
}, { donate: { w: "w" } });

/** What a step gives on uneven numbers. */
async function outcome(on: XlaEngine) {
  using executable = await on.compile(step);
  const inputs = new Map(step.inputs.map(({ name, tensor: { shape, size } }) => {
    return [name, on.upload(Float32Array.from({ length: size }, (_, i) => Math.sin(i + name.length)), shape, "f32")];
  }));
  const { memory } = executable;
  const outputs = await executable.run(inputs);
  const gone = await inputs.get("w")!.read().then(() => false, () => true);
  const numbers = await Promise.all([...outputs].map(async ([name, buffer]) => [name, await buffer.read()]));
  for (const buffer of [...inputs.values(), ...outputs.values()]) buffer[Symbol.dispose]();
  return { memory, gone, numbers };
}

Deno.test({
  name: "a program of XLA read back from disk gives the same bits, consumes the same inputs, needs the same memory",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      const plugin = await fetchPlugin();
      const open = () => openXlaEngine({ plugin, oneDnn: [], programs: new ProgramCache({ folder }) });
      const made = await outcome(await open());
      const files = [...Deno.readDirSync(folder)];
      assertEquals([files.length, made.gone, made.memory!.aliasBytes > 0], [1, true, true]);
      const { compile } = PjrtClient.prototype;
      PjrtClient.prototype.compile = () => Promise.reject(new Error("compiled again"));
      try {
        assertEquals(await outcome(await open()), made);
      } finally {
        PjrtClient.prototype.compile = compile;
      }
    }),
});

Deno.test({
  name: "code that is not optimised is kept under another name, and gives the same numbers",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      const plugin = await fetchPlugin(), found: number[][] = [];
      for (const optimize of [true, false]) {
        const on = await openXlaEngine({ plugin, oneDnn: [], optimize, programs: new ProgramCache({ folder }) });
        found.push((await outcome(on)).numbers.flatMap(([, values]) => [...values as Float32Array]));
      }
      const [quick, slow] = [found[1]!, found[0]!];
      assertEquals([quick.length, slow.length], [65, 65]);
      quick.forEach((value, i) => assertAlmostEquals(value, slow[i]!, 1e-5));
      assertEquals([...Deno.readDirSync(folder)].length, 2);
    }),
});

testInOwnProcess(import.meta.filename!, {
  name: "a program that calls oneDNN is never asked for its bytes, nor is any under flags that put such calls in",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      const client = {
        platform: "cpu",
        device: "cpu",
        deviceCount: 1,
        api: { version: "0.81" },
        compile: () => Promise.resolve({ memory: null }),
        freeProgram: () => {},
      } as unknown as PjrtClient;
      const asked: string[] = [];
      const programs = new ProgramCache({ folder });
      programs.get = (key, { compile }) => (asked.push(key), compile());
      const kept = { programs, identity: {} };
      const large = program("large", { y: matmul(input("a", [512, 512]), input("b", [512, 512])) });
      using _ = await new XlaEngine(client, { oneDnn: ["f32"] }, undefined, kept).compile(large);
      assertEquals(asked, []);
      using __ = await new XlaEngine(client, { oneDnn: [] }, undefined, kept).compile(large);
      assertEquals(asked.length, 1);

      const plugin = await fetchPlugin();
      Deno.env.delete("XLA_FLAGS");
      const plain = programIdentity(engine!.client, plugin)!;
      Deno.env.set("XLA_FLAGS", "--xla_cpu_enable_fast_math=true");
      assertNotEquals(programKey(programIdentity(engine!.client, plugin)!), programKey(plain));
      Deno.env.set("XLA_FLAGS", "--xla_cpu_use_onednn=true");
      assertEquals(programIdentity(engine!.client, plugin), undefined);
    }),
});

Deno.test({
  name: "another file of a plugin, be it of the same bytes, has programs of its own",
  ignore,
  fn: () =>
    inFolder((folder) => {
      Deno.mkdirSync(folder);
      const path = join(folder, "plugin.so"), then = new Date("2020-01-01");
      const put = () => {
        Deno.writeTextFileSync(`${path}.new`, "bytes");
        Deno.utimeSync(`${path}.new`, then, then);
        Deno.renameSync(`${path}.new`, path);
      };
      const key = () => programKey(programIdentity(engine!.client, path)!);
      put();
      const first = key();
      assertEquals(key(), first);
      put();
      assertNotEquals(key(), first);
      return Promise.resolve();
    }),
});
