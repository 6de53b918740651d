import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CorruptClipError, type DecodedView, type DecodeRequest } from "../../decoders/decoder.ts";
import { DecoderLanes } from "../../decoders/lanes.ts";
import { LibavDecoder } from "../../decoders/libav.ts";
import { eventually } from "../_child.ts";
import { testsInOwnProcess } from "../_own_process.ts";
import { inTempDir, makeClip } from "./_clips.ts";

// The lanes of tests that run beside these are children of the same process.
const test = testsInOwnProcess(import.meta.filename!);

const settings = {
  sampling: { kind: "uniform", frames: 16 },
  crop: { kind: "centre" },
  size: 32,
  tubelet: 2,
  patch: 16,
  draws: [],
} as const;

function request(path: string, more: Partial<DecodeRequest> = {}): DecodeRequest {
  return { path, ...settings, ...more };
}

/** Lanes that a process has started and that are alive; none can be told where there is no /proc. */
async function lanesOf(parent = Deno.pid): Promise<number[]> {
  if (Deno.build.os !== "linux") return [];
  const pids: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name) || await parentOf(Number(name)) !== parent) continue;
    const command = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (command.includes("_lane.ts")) pids.push(Number(name));
  }
  return pids;
}

/** Parent of a process, or null where it is gone or only waits to be buried. */
async function parentOf(pid: number): Promise<number | null> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return stat === "" || state === "Z" ? null : Number(parent);
}

/** Waits for the only lane to take work: its file has lost its name then. */
function readyLane(): Promise<number> {
  return eventually("A lane that takes work", async () => {
    const [pid] = await lanesOf();
    for (const { name } of pid === undefined ? [] : Deno.readDirSync(`/proc/${pid}/fd`)) {
      const target = await Deno.readLink(`/proc/${pid}/fd/${name}`).catch(() => "");
      if (/tubelet_lane_\w+ \(deleted\)$/.test(target)) return pid!;
    }
    return undefined;
  });
}

const onLinux = { ignore: Deno.build.os !== "linux" };

test("lanes give what a decoder in this process gives, answers going to their own requests", async () => {
  await inTempDir(async (folder) => {
    const requests = Array.from(
      { length: 12 },
      (_, i) =>
        request(makeClip(`${folder}/${i}.${i % 2 ? "mp4" : "webm"}`, 16 + 3 * i), {
          sampling: { kind: "k400", frames: 4 + 2 * (i % 3), stride: 2 },
          crop: { kind: "multi-scale" },
          draws: [i / 12, 1 - (i + 1) / 13, 1 / 3],
        }),
    );
    using here = new LibavDecoder();
    await using lanes = new DecoderLanes({ lanes: 2 });
    const views = await Promise.all(requests.map((request) => lanes.decode(request)));
    assertEquals(views, requests.map((request) => here.decodeSync(request)));
  });
});

test("a view of megabytes arrives whole in the buffer that was given", async () => {
  await inTempDir(async (folder) => {
    const large = request(makeClip(`${folder}/a.mp4`, 20), { size: 224 });
    using here = new LibavDecoder();
    await using lanes = new DecoderLanes({ lanes: 1 });
    const buffer = new Uint8Array(16 * 224 * 224 * 3);
    const view = await lanes.decode(large, buffer);
    assert(view.cubes === buffer);
    assertEquals(view, here.decodeSync(large));
  });
});

test("errors of a clip cross with reason, detail and offset, and the lane goes on", async () => {
  await inTempDir(async (folder) => {
    const bytes = await Deno.readFile(makeClip(`${folder}/a.mp4`, 60));
    await Deno.writeFile(`${folder}/cut.mp4`, bytes.subarray(0, 1000));
    using here = new LibavDecoder();
    const expected = assertThrows(() => here.decodeSync(request(`${folder}/cut.mp4`)), CorruptClipError);
    assertEquals(expected.byteOffset, 1000);
    await using lanes = new DecoderLanes({ lanes: 1 });
    const error = await assertRejects(() => lanes.decode(request(`${folder}/cut.mp4`)), CorruptClipError);
    assertEquals({ ...error, message: error.message }, { ...expected, message: expected.message });
    const missing = await assertRejects(() => lanes.decode(request(`${folder}/none.mp4`)), CorruptClipError);
    assertEquals(missing.reason, "missing");
    assertEquals((await lanes.decode(request(`${folder}/a.mp4`))).frameCount, 60);
  });
});

test("a request that makes no sense is refused before any process starts", async () => {
  await using lanes = new DecoderLanes({ lanes: 1 });
  await assertRejects(() => lanes.decode(request("a.mp4", { patch: 15 })), RangeError, "patch size 15");
  await assertRejects(() => lanes.decode(request("a.mp4"), new Uint8Array(3)), RangeError, "has 3 bytes");
  assertEquals(await lanesOf(), []);
  assertThrows(() => new DecoderLanes({ lanes: 0 }), RangeError, "at least 1, got 0");
  assertThrows(() => new DecoderLanes({ deadlineMs: 0 }), RangeError, "got 0 ms");
});

test("a clip past its deadline is timed out, its process replaced, and the next ones are decoded", async () => {
  await inTempDir(async (folder) => {
    // Decoding takes longer than a millisecond, however fast the machine: 4096 pictures have to be written.
    const long = request(makeClip(`${folder}/long.mp4`, 1), { sampling: { kind: "uniform", frames: 2048 }, size: 64 });
    await using lanes = new DecoderLanes({ lanes: 1, deadlineMs: 1 });
    const outcomes = await Promise.allSettled([lanes.decode(long), lanes.decode(request(`${folder}/none.mp4`))]);
    const [late, other] = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason);
    assertEquals([late.reason, late.path], ["timed-out", long.path]);
    assert(other instanceof CorruptClipError && other.path.endsWith("none.mp4"));
  });
});

test({
  name: "a process that dies after it decoded others costs no clip",
  ...onLinux,
  async fn() {
    await inTempDir(async (folder) => {
      const paths = Array.from({ length: 4 }, (_, i) => makeClip(`${folder}/${i}.mp4`, 16));
      await using lanes = new DecoderLanes({ lanes: 1 });
      await lanes.decode(request(paths[0]!));
      const [pid] = await lanesOf();
      Deno.kill(pid!, "SIGSTOP"); // so that it dies before it answers
      const outcomes = Promise.allSettled(paths.map((path) => lanes.decode(request(path))));
      Deno.kill(pid!, "SIGKILL");
      assertEquals((await outcomes).map(({ status }) => status), Array(4).fill("fulfilled"));
      assert(!(await lanesOf()).includes(pid!));
    });
  },
});

test({
  name: "a process that dies of its first clip fails that clip and no other",
  ...onLinux,
  async fn() {
    await inTempDir(async (folder) => {
      const path = makeClip(`${folder}/a.mp4`, 16);
      await using lanes = new DecoderLanes({ lanes: 1 });
      // Long enough to be at work when the process is found.
      const long = lanes.decode(request(path, { sampling: { kind: "uniform", frames: 2048 }, size: 128 }));
      const outcomes = Promise.allSettled([long, lanes.decode(request(path))]);
      const pid = await readyLane();
      Deno.kill(pid, "SIGKILL");
      const [first, second] = await outcomes;
      const error = (first as PromiseRejectedResult).reason;
      assert(error instanceof CorruptClipError);
      assertEquals([error.reason, error.path], ["crashed-decoder", path]);
      assert(error.message.includes("SIGKILL"), error.message);
      assertEquals(second.status, "fulfilled");
    });
  },
});

test({
  name: "a process that stands still is timed out, and the clips that wait for it are decoded by another",
  ...onLinux,
  async fn() {
    await inTempDir(async (folder) => {
      const paths = Array.from({ length: 3 }, (_, i) => makeClip(`${folder}/${i}.mp4`, 16));
      await using lanes = new DecoderLanes({ lanes: 1, deadlineMs: 2000 });
      await lanes.decode(request(paths[0]!));
      const [pid] = await lanesOf();
      Deno.kill(pid!, "SIGSTOP");
      const [first, ...others] = await Promise.allSettled(paths.map((path) => lanes.decode(request(path))));
      const error = (first as PromiseRejectedResult).reason;
      assert(error instanceof CorruptClipError);
      assertEquals([error.reason, error.path], ["timed-out", paths[0]]);
      assertEquals(others.map(({ status }) => status), ["fulfilled", "fulfilled"]);
      assertEquals(await parentOf(pid!), null);
    });
  },
});

test("a clip that takes too much memory is refused and costs its process alone", async () => {
  await inTempDir(async (folder) => {
    const path = makeClip(`${folder}/a.mp4`, 16);
    await using lanes = new DecoderLanes({ lanes: 1, memoryBytes: 2 ** 28 });
    // One picture, repeated until its planes alone are 352 MB; that it takes a while more leaves time to notice.
    const large = request(path, { sampling: { kind: "uniform", frames: 2048 }, size: 224 });
    const outcomes = await Promise.allSettled([lanes.decode(large), lanes.decode(request(path))]);
    const error = (outcomes[0] as PromiseRejectedResult).reason;
    assert(error instanceof CorruptClipError);
    assertEquals([error.reason, error.detail], ["crashed-decoder", "decoding took more than 256 MiB of memory"]);
    assertEquals(outcomes[1].status, "fulfilled");
  });
  assertThrows(() => new DecoderLanes({ memoryBytes: 1e6 }), RangeError, "needs at least 128 MiB, got 1000000 bytes");
});

test({
  name: "views cross through a file without a name, or through the pipe where no file can be made",
  async fn() {
    await inTempDir(async (folder) => {
      const large = request(makeClip(`${folder}/a.mp4`, 20), { size: 224 });
      using here = new LibavDecoder();
      const expected = here.decodeSync(large);
      const before = Deno.env.get("TMPDIR");
      await Deno.mkdir(`${folder}/files`);
      for (const place of ["files", "none"]) {
        Deno.env.set("TMPDIR", `${folder}/${place}`);
        try {
          await using lanes = new DecoderLanes({ lanes: 1 });
          for (let i = 0; i < 3; i++) assertEquals(await lanes.decode(large), expected);
          if (place === "files") assertEquals([...Deno.readDirSync(`${folder}/files`)], []);
        } finally {
          before === undefined ? Deno.env.delete("TMPDIR") : Deno.env.set("TMPDIR", before);
        }
      }
    });
  },
});

test({
  name: "closing and aborting reject what is under way and leave no process",
  ...onLinux,
  async fn() {
    await inTempDir(async (folder) => {
      const path = makeClip(`${folder}/a.mp4`, 16);
      const controller = new AbortController();
      await using aborted = new DecoderLanes({ lanes: 2, signal: controller.signal });
      const closed = new DecoderLanes({ lanes: 2 });
      const settle = (lanes: DecoderLanes) =>
        Promise.allSettled(Array.from({ length: 9 }, (): Promise<DecodedView> => lanes.decode(request(path))));
      await Promise.all([closed.decode(request(path)), closed.decode(request(path))]);
      const pids = await lanesOf();
      assertEquals(pids.length, 2);
      for (const pid of pids) Deno.kill(pid, "SIGSTOP"); // so that nothing is answered before the end
      const outcomes = [settle(aborted), settle(closed)];
      controller.abort(new Error("told to stop"));
      await closed[Symbol.asyncDispose]();
      for (const [i, text] of ["told to stop", "were closed"].entries()) {
        for (const outcome of await outcomes[i]!) {
          assert(outcome.status === "rejected" && outcome.reason.message.includes(text));
        }
      }
      await assertRejects(() => aborted.decode(request(path)), Error, "told to stop");
      await assertRejects(() => closed.decode(request(path)), Error, "were closed");
      await aborted[Symbol.asyncDispose]();
      assertEquals(await lanesOf(), []);
    });
  },
});

test({
  name: "lanes end with a parent that is killed, and do not inherit its allocator settings",
  ...onLinux,
  async fn() {
    await inTempDir(async (folder) => {
      const path = makeClip(`${folder}/a.mp4`, 16);
      const script = `
        import { DecoderLanes } from ${JSON.stringify(import.meta.resolve("../../decoders/lanes.ts"))};
        const lanes = new DecoderLanes({ lanes: 2 });
        const request = ${JSON.stringify(request(path))};
        await Promise.all([lanes.decode(request), lanes.decode(request)]);
        console.log("decoded");
        await new Promise(() => setInterval(() => {}, 1000));`;
      await Deno.writeTextFile(`${folder}/parent.ts`, script);
      const parent = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--config", new URL("../../deno.json", import.meta.url).pathname, `${folder}/parent.ts`],
        env: { GLIBC_TUNABLES: "glibc.malloc.arena_max=1" },
        stdout: "piped",
      }).spawn();
      await using _parent = { [Symbol.asyncDispose]: async () => void await parent.status };
      const output = parent.stdout.getReader();
      assertEquals(new TextDecoder().decode((await output.read()).value), "decoded\n");
      const children = await lanesOf(parent.pid);
      assertEquals(children.length, 2);
      for (const pid of children) {
        const environment = (await Deno.readTextFile(`/proc/${pid}/environ`)).split("\0");
        assert(!environment.some((entry) => entry.startsWith("GLIBC_TUNABLES=g")));
      }
      parent.kill("SIGKILL");
      await output.cancel();
      for (const pid of children) {
        await eventually(`The end of lane ${pid}`, async () => await parentOf(pid) === null || undefined);
      }
    });
  },
});
