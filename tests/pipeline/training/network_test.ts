/** A network over rows of frames: which rows share a batch, and that the device is never left waiting for the caller. */
import { assertEquals, assertRejects } from "@std/assert";
import type { DeviceBuffer, Engine, HostArray } from "../../../models/runtime/engine.ts";
import type { ForwardProgram } from "../../../models/train_step.ts";
import { type InferOptions, Network } from "../../../pipeline/training/network.ts";
import { framesSet, inTempDir } from "../shards/_sets.ts";

/** An engine that gives back the first byte of each row and tells what happens. */
function tellingEngine(told: string[], live: Set<string>): Engine {
  let runs = 0;
  const buffer = (name: string, data: HostArray): DeviceBuffer => {
    live.add(name);
    return {
      shape: [],
      dtype: "u8",
      read: () => Promise.resolve(void told.push(`read ${name}`)).then(() => data),
      [Symbol.dispose]: () => void live.delete(name),
    };
  };
  return {
    name: "telling",
    description: "tells what happens",
    upload: (data) => Object.assign(buffer(`input ${runs}`, data), { data }),
    compile: (program) =>
      Promise.resolve({
        program,
        memory: null,
        run: (inputs) => {
          const { data } = inputs.get("cubes") as unknown as { data: Uint8Array }, name = `${runs++}`;
          told.push(`start ${name}`);
          const firsts = Uint8Array.from({ length: data.length / 96 }, (_, i) => data[i * 96]!);
          return Promise.resolve(new Map([["out", buffer(name, firsts)]]));
        },
        [Symbol.dispose]: () => {},
      }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Runs a body with a network over ten rows whose bytes begin with the row's number. */
function withNetwork(
  body: (
    infer: (options: Omit<InferOptions, "frames" | "batch">) => ReturnType<Network["infer"]>,
    told: string[],
    live: Set<string>,
  ) => Promise<void>,
): Promise<void> {
  return inTempDir(async (cache) => {
    using frames = await framesSet(cache);
    const told: string[] = [], live = new Set<string>();
    const forward = {
      program: {},
      parameters: [],
      frozen: [],
      data: [{ name: "cubes", shape: [4, 96], dtype: "u8" }],
    } as unknown as ForwardProgram;
    using network = await Network.load(tellingEngine(told, live), forward, new Map());
    await body((options) => network.infer({ ...options, frames, batch: 4 }), told, live);
    assertEquals([...live], []);
  });
}

Deno.test("rows come in their order, the last batch filled up with its first row", () =>
  withNetwork(async (infer) => {
    const found: unknown[] = [];
    for await (const { rows, outputs } of infer({ rows: [1, 3, 5, 7, 9, 0] })) {
      found.push([rows, [...outputs.get("out")!]]);
    }
    assertEquals(found, [[[1, 3, 5, 7], [1, 3, 5, 7]], [[9, 0], [9, 0, 9, 9]]]);
    for await (const _ of infer({ rows: [] })) throw new Error("there was nothing to do");
  }));

Deno.test("rows of different groups share no batch", () =>
  withNetwork(async (infer) => {
    const found: number[][] = [];
    const groupOf = (row: number) => Math.floor(row / 6);
    for await (const { rows } of infer({ rows: [...Array(10).keys()], groupOf })) found.push([...rows]);
    assertEquals(found, [[0, 1, 2, 3], [4, 5], [6, 7, 8, 9]]);
  }));

Deno.test("a batch is started before the outputs of the one before are read and handed on", () =>
  withNetwork(async (infer, told) => {
    for await (const { rows } of infer({ rows: [...Array(10).keys()] })) told.push(`handed on ${rows[0]}`);
    assertEquals(told, [
      ...["start 0", "start 1", "read 0", "handed on 0"],
      ...["start 2", "read 1", "handed on 4"],
      ...["read 2", "handed on 8"],
    ]);
  }));

Deno.test("a caller that stops, fails or is interrupted leaves nothing on the device", () =>
  withNetwork(async (infer, _told, live) => {
    for await (const _ of infer({ rows: [...Array(10).keys()] })) break;
    assertEquals([...live], []);
    const stop = new AbortController();
    await assertRejects(
      async () => {
        for await (const _ of infer({ rows: [...Array(10).keys()], signal: stop.signal })) {
          stop.abort(new Error("enough"));
        }
      },
      Error,
      "enough",
    );
    assertEquals([...live], []);
    await assertRejects(
      async () => {
        for await (const _ of infer({ rows: [0, 1, 2, 3, 99] })) throw new Error("never handed on");
      },
      Error,
      "99",
    );
  }));
