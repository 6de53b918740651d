/** The vendored parseArgs: the grammar of @std/cli on words a user would type. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";

Deno.test("parseArgs() reads the four ways of giving a value", () => {
  assertEquals(parseArgs(["--seed=7", "--run", "runs/a", "-n5", "-m", "x"]), {
    _: [],
    seed: 7,
    run: "runs/a",
    n: 5,
    m: "x",
  });
});

Deno.test("parseArgs() keeps strings as they were typed", () => {
  const args = parseArgs(["--tag", "007", "--name=", "--empty", "12"], { string: ["tag", "name", "_", "empty"] });
  assertEquals({ ...args }, { _: [], tag: "007", name: "", empty: "12" });
  assertEquals(parseArgs(["12", "a"], { string: ["_"] })._, ["12", "a"]);
  assertEquals(parseArgs(["12", "-", "1e3"])._, [12, "-", 1000]);
});

Deno.test("parseArgs() gives booleans no value, and false when they are absent", () => {
  const args = parseArgs(["--quiet", "clip.mp4", "--no-color", "--json=false", "--deep", "true"], {
    boolean: ["quiet", "json", "color", "deep", "absent"],
    negatable: ["color"],
    default: { color: true },
  });
  const quiet: boolean = args.quiet;
  assertEquals(quiet, true);
  assertEquals({ ...args }, {
    _: ["clip.mp4"],
    quiet: true,
    color: false,
    json: false,
    deep: true,
    absent: false,
  });
});

Deno.test("parseArgs() only negates what is negatable", () => {
  assertEquals(parseArgs(["--no-color"], { boolean: ["color"] }), { _: [], color: false, "no-color": true });
});

Deno.test("parseArgs() collects repeated flags and takes the last of others", () => {
  const args = parseArgs(["--only", "a", "--only=b", "--run", "x", "--run", "y"], {
    string: ["only", "run"],
    collect: ["only", "none"],
  });
  const only: string[] = args.only;
  assertEquals(only, ["a", "b"]);
  assertEquals(args.run, "y");
  assertEquals(args.none, []);
});

Deno.test("parseArgs() gives every alias the value, and defaults what is missing", () => {
  const args = parseArgs(["-h"], { boolean: ["help"], alias: { help: ["h", "?"] }, default: { batch: 32 } });
  assertEquals({ ...args }, { _: [], help: true, h: true, "?": true, batch: 32 });
  const batch: number = args.batch;
  assertStrictEquals(batch, 32);
});

Deno.test("parseArgs() hands unknown flags and words to the callback, which may drop them", () => {
  const seen: unknown[] = [];
  const args = parseArgs(["--sede", "3", "--seed", "4", "word"], {
    string: ["seed"],
    unknown: (arg, key, value) => {
      seen.push([arg, key, value]);
      return false;
    },
  });
  assertEquals(seen, [["--sede", "sede", "3"], ["word", undefined, undefined]]);
  assertEquals({ ...args }, { _: [], seed: "4" });
});

Deno.test("parseArgs() separates what follows two dashes", () => {
  assertEquals(parseArgs(["a", "--", "--b", "3"], { "--": true }), { _: ["a"], "--": ["--b", "3"] });
  assertEquals(parseArgs(["a", "--", "--b", "3"]), { _: ["a", "--b", "3"] });
  assertEquals(parseArgs(["--a", "1", "b", "--c"], { stopEarly: true }), { _: ["b", "--c"], a: 1 });
});

Deno.test("parseArgs() splits grouped letters and nests dotted names", () => {
  assertEquals(parseArgs(["-abc", "--x.y", "1", "--x.z=2"]), { _: [], a: true, b: true, c: true, x: { y: 1, z: 2 } });
});

Deno.test("parseArgs() cannot be made to touch a prototype", () => {
  const args = parseArgs(["--__proto__.polluted", "1", "--constructor.prototype.polluted=1"]);
  assertStrictEquals(({} as Record<string, unknown>)["polluted"], undefined);
  assertEquals(Object.getPrototypeOf(args), Object.prototype);
});
