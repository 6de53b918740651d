/** A long training holds as much memory at its end as at its beginning. */
import { assertEquals, assertLess } from "@std/assert";
import { initialParameters, Parameters } from "../../../models/parameters.ts";
import type { XlaEngine } from "../../../models/runtime/xla.ts";
import { convert, input, matmul, multiply, sum } from "../../../models/tensor/mod.ts";
import { trainStep } from "../../../models/train_step.ts";
import { uniforms } from "../../../pipeline/random.ts";
import { TrainState } from "../../../pipeline/training/train_state.ts";
import { testInOwnProcess } from "../../_own_process.ts";
import { optimizingXlaEngine } from "../../models/_engines.ts";

const STEPS = 2000, SETTLED = 500, CLIPS = 32, BYTES = 8192;

/** A layer that learns to give 0, reading 256 kB a step. */
function tinyStep() {
  const parameters = new Parameters(), cubes = input("cubes", [CLIPS, BYTES], "u8");
  return trainStep({
    name: "tiny",
    parameters,
    frozen: new Parameters(),
    data: [cubes],
    metrics: (rows) => {
      const x = multiply(convert(rows(cubes), "f32"), 1 / 255);
      const y = matmul(x, parameters.matrix("w", 8, BYTES), { transposeB: true });
      return { total: multiply(sum(multiply(y, y)), 1 / CLIPS) };
    },
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, clipNorm: null },
  });
}

const engine = await optimizingXlaEngine() as XlaEngine | undefined;

testInOwnProcess(import.meta.filename!, {
  name: "two thousand training steps with two batches in flight leave nothing behind",
  ignore: engine === undefined,
  async fn() {
    const step = tinyStep(), alive = engine!.alive;
    const start = initialParameters(step.parameters, (count, name) => uniforms(count, 1, "start", name));
    {
      using executable = await engine!.compile(step.program);
      using state = TrainState.create(engine!, step, start);
      const held = engine!.alive;
      const cubes = new Uint8Array(CLIPS * BYTES).map((_, i) => i * 31 % 251);
      const upload = () => state.upload(new Map([["cubes", cubes]]));
      const losses: number[] = [];
      let ahead = upload(), before = 0;
      for (let t = 1; t <= STEPS; t++) {
        const scalars = { learning_rate: 1e-4, correction1: 1 / (1 - 0.9 ** t), correction2: 1 / (1 - 0.95 ** t) };
        const running = state.advance(executable, ahead, scalars);
        ahead = upload();
        losses.push((await (await running).numbers).get("total")!);
        if (t === SETTLED) before = Deno.memoryUsage().rss;
      }
      ahead[Symbol.dispose]();
      // A batch, or parameters and moments, that stayed at every step would be 390 and 1,100 MB by now.
      assertLess(Deno.memoryUsage().rss - before, 100e6);
      assertEquals(engine!.alive, held);
      assertLess(losses.at(-1)!, 0.1 * losses[0]!);
    }
    assertEquals(engine!.alive, alive);
  },
});
