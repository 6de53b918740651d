/** A disk that fills up, at every step of making a file public: nothing half written, and an error that says what to do. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { type CheckpointCalls, CheckpointFolder } from "../../pipeline/checkpoint_folder.ts";
import { DiskFullError, NotWritableError, orDiskFull } from "../../pipeline/shards/_full_disk.ts";
import type { PublishCalls } from "../../pipeline/shards/_publish.ts";
import { createFramesSet, FrameShardWriter } from "../../pipeline/shards/frame_shards.ts";
import { resumeSet } from "../../pipeline/shards/resume.ts";
import { run } from "../_child.ts";
import { tinyArgs } from "./_tiny_run.ts";
import { FRAMES, inTempDir, listFolder, nameOf, viewOf, writeFrames } from "./shards/_sets.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

function full(): never {
  throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
}

/** Calls a function until the nth time, which fails. */
function failingAt<A extends unknown[], R>(nth: number, call: (...args: A) => R): (...args: A) => R {
  let calls = 0;
  return (...args) => ++calls === nth ? full() : call(...args);
}

Deno.test("a shard for which there is no space is dropped whole, named, and can be made when there is", () =>
  inTempDir(async (cache) => {
    const sync = async () => {};
    const failures: [string, PublishCalls][] = [
      ["first row", { write: full }],
      ["data sync", { sync: failingAt(1, sync) }],
      ["header sync", { sync: failingAt(2, sync) }],
      ["name", { link: full }],
    ];
    using set = createFramesSet(cache, FRAMES);
    for (const [step, calls] of failures) {
      const error = await assertRejects(
        async () => {
          using writer = new FrameShardWriter(set, 2, [8, 9].map(nameOf), { calls });
          for (const row of [8, 9]) writer.write(row, viewOf(row));
          await writer.seal();
        },
        DiskFullError,
        "or name a folder on another disk with --cache",
      );
      assertEquals([error.path, listFolder(set.folder)], [set.path(2), ["config.json"]], step);
    }
    for (const shard of [0, 1, 2]) await writeFrames(set, shard);
    assertEquals((await resumeSet(set)).missing, []);
  }));

Deno.test("a checkpoint for which there is no space leaves the earlier ones, the one it was to replace too", () =>
  inTempDir(async (folder) => {
    const write = (text: string) => (path: string) => Deno.writeTextFileSync(`${path}/model.safetensors`, text);
    const good = new CheckpointFolder(folder, 3, () => {});
    await good.save({ step: 5, state: "five", write: write("5") });
    await good.save({ step: 10, state: "ten", write: write("10") });
    const { renameSync } = Deno;
    const failures: [string, number, CheckpointCalls, (path: string) => void][] = [
      ["content", 15, {}, full],
      ["sync", 15, { sync: full }, write("new")],
      ["state sync", 15, { sync: failingAt(2, () => {}) }, write("new")],
      ["name", 15, { rename: full }, write("new")],
      ["stepping aside", 10, { rename: full }, write("new")],
      ["name of the one in its place", 10, { rename: failingAt(2, renameSync) }, write("new")],
    ];
    for (const [place, step, calls, content] of failures) {
      const failing = new CheckpointFolder(folder, 3, () => {}, calls);
      const error = await assertRejects(
        () => failing.save({ step, state: "new", write: content }),
        DiskFullError,
        "--run (checkpoints and report)",
        place,
      );
      assertStringIncludes(error.path, `step-${String(step).padStart(8, "0")}`);
      assertEquals(listFolder(folder), ["step-00000005", "step-00000010"], place);
      assertEquals((await good.latest())?.state, "ten", place);
    }
    await good.save({ step: 15, state: "fifteen", write: write("15") });
    assertEquals((await good.latest())?.state, "fifteen");
  }));

Deno.test("a failure of another kind stays what it is", () =>
  inTempDir(async (cache) => {
    using set = createFramesSet(cache, FRAMES);
    const link = () => {
      throw Object.assign(new Error("input/output error"), { code: "EIO" });
    };
    using writer = new FrameShardWriter(set, 2, [8, 9].map(nameOf), { calls: { link } });
    for (const row of [8, 9]) writer.write(row, viewOf(row));
    await assertRejects(() => writer.seal(), Error, "input/output error");
  }));

/** Runs the task twice on a small disk of its own: first as it is, then with room. Undefined where none can be made. */
async function onSmallDisk(folder: string, size: string, place: "cache" | "run") {
  const disk = `${folder}/disk`;
  await Deno.mkdir(disk);
  const args = tinyArgs(folder).filter((flag) => !flag.startsWith(`--${place}=`));
  const task = [Deno.execPath(), "run", "-A", "--no-check", "tasks/pretrain_video.ts", ...args, "--quiet"];
  const script = `mount -t tmpfs -o size=${size} tmpfs "$0" || exit 77
    "$@" "--${place}=$0/x" --until=teach; echo "code $?"
    find "$0" -name '.tmp-*' -o -name '*.partial' -o -name '*.new'
    mount -o remount,size=64m "$0" && "$@" "--${place}=$0/x" --until=teach; echo "code $?"`;
  try {
    const options = { args: ["-rm", "sh", "-c", script, disk, ...task], cwd: ROOT };
    const { code, out, error } = await run("unshare", options);
    if (code === 77) return undefined;
    return { lines: out.trim().split("\n"), errors: error };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

for (const [place, size] of [["cache", "40k"], ["cache", "140k"], ["run", "60k"]] as const) {
  Deno.test(`a --${place} on a disk of ${size} ends with a sentence, leaves nothing half written, and goes on with room`, () =>
    inTempDir(async (folder) => {
      const found = await onSmallDisk(folder, size, place);
      if (!found) return console.log("skipped: no small disk can be mounted here (unshare -rm, tmpfs)");
      assertEquals(found.lines, ["code 1", "code 0"], found.errors);
      assertStringIncludes(found.errors, `error: No space is left to write ${folder}/disk/x/`);
      assert(found.errors.includes(`--${place} (`), found.errors);
    }));
}

Deno.test("what may not be written is named with what mends it, whoever says so", () => {
  const errors = [
    Object.assign(new Error("permission denied, open"), { code: "EACCES" }),
    Object.assign(new Error("read-only file system, mkdir"), { code: "EROFS" }),
    new Error("Read-only file system (os error 30): mkdir '/x'"),
  ];
  for (const cause of errors) {
    const error = assertThrows(
      () =>
        orDiskFull("/a b/ü", () => {
          throw cause;
        }),
      NotWritableError,
      `/a b/ü may not be written (${cause.message}): change whose it is, or name another folder with --cache`,
    );
    assertEquals(error.cause, cause);
  }
});

for (const place of ["cache", "run"] as const) {
  Deno.test(`a --${place} that may not be written ends with a sentence before any work, read-only or another user's`, () =>
    inTempDir(async (folder) => {
      const args = tinyArgs(folder).filter((flag) => !flag.startsWith(`--${place}=`));
      const task = [Deno.execPath(), "run", "-A", "--no-check", "tasks/pretrain_video.ts", ...args, "--quiet"];
      // Once on a file system mounted read-only, once in a folder without the right to write; root has that right by a
      // capability, which is taken away.
      const script = `mkdir "$0/disk" "$0/locked" && mount -t tmpfs -o ro tmpfs "$0/disk" || exit 77
        "$@" "--${place}=$0/disk/x"; echo "code $?"
        chmod 555 "$0/locked"
        setpriv --bounding-set=-all --inh-caps=-all "$@" "--${place}=$0/locked/x"; echo "code $?"`;
      const options = { args: ["-rm", "sh", "-c", script, folder, ...task], cwd: ROOT };
      const { code, out, error: errors } = await run("unshare", options).catch((error) => {
        if (error instanceof Deno.errors.NotFound) return { code: 77, out: "", error: "" };
        throw error;
      });
      if (code === 77 || errors.includes("setpriv: ")) {
        return console.log("skipped: no disk can be mounted here, or no right be given up (unshare -rm, setpriv)");
      }
      assertEquals(out.trim().split("\n"), ["code 1", "code 1"], errors);
      for (const where of ["disk", "locked"]) {
        const line = errors.split("\n").find((line) => line.startsWith(`error: ${folder}/${where}/x`));
        assert(line?.includes(" may not be written (") && line.includes(`--${place} (`), errors);
      }
    }));
}
