/** metrics.jsonl: whole lines, no step twice after a crash, numbers that JSON cannot hold. */
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { type Metric, MetricsFile, readMetrics } from "../../pipeline/metrics.ts";

function withFile(test: (path: string) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "metrics ü " });
  try {
    test(`${folder}/metrics.jsonl`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const metric = (step: number, stage = "pretrain"): Metric => ({ stage, step, epoch: 0, loss: 1 / step, lr: 1e-3 });

function write(path: string, from: number, to: number, stage = "pretrain"): void {
  using file = new MetricsFile(path, { stage, step: from - 1 });
  for (let step = from; step <= to; step++) file.write(metric(step, stage));
  file.sync();
}

Deno.test("metrics are read back as they were written, floats to the last bit", () => {
  withFile((path) => {
    write(path, 1, 3);
    assertEquals(readMetrics(path), [metric(1), metric(2), metric(3)]);
    assertStrictEquals(readMetrics(path)[2]?.loss, 1 / 3);
  });
});

Deno.test("a resumed stage loses the lines behind its checkpoint, other stages keep theirs", () => {
  withFile((path) => {
    write(path, 1, 2, "train-teacher");
    write(path, 1, 5);
    using file = new MetricsFile(path, { stage: "pretrain", step: 3 });
    assertEquals(readMetrics(path), [
      metric(1, "train-teacher"),
      metric(2, "train-teacher"),
      ...[1, 2, 3].map((s) => metric(s)),
    ]);
    file.write(metric(4));
    assertEquals(readMetrics(path).map((m) => m.step), [1, 2, 1, 2, 3, 4]);
  });
});

Deno.test("half a line at the end is dropped, and the next line does not join it", () => {
  withFile((path) => {
    write(path, 1, 2);
    Deno.writeTextFileSync(path, '{"stage":"pretrain","st', { append: true });
    assertEquals(readMetrics(path).length, 2);
    write(path, 3, 3);
    assertEquals(readMetrics(path), [metric(1), metric(2), metric(3)]);
  });
});

Deno.test("every cut of the file reads as a prefix of its steps", () => {
  withFile((path) => {
    write(path, 1, 3);
    const bytes = Deno.readFileSync(path);
    for (let length = 0; length <= bytes.length; length++) {
      Deno.writeFileSync(path, bytes.subarray(0, length));
      const whole = new TextDecoder().decode(bytes.subarray(0, length)).split("\n").length - 1;
      assertEquals(readMetrics(path).map((m) => m.step), [1, 2, 3].slice(0, whole));
    }
  });
});

Deno.test("a resume at the file's end leaves the file alone", () => {
  withFile((path) => {
    write(path, 1, 2);
    const before = Deno.statSync(path).ino;
    write(path, 3, 3);
    assertEquals(Deno.statSync(path).ino, before);
  });
});

Deno.test("numbers that JSON lacks are spelled out", () => {
  withFile((path) => {
    {
      using file = new MetricsFile(path, { stage: "pretrain", step: 0 });
      file.write({ ...metric(1), loss: NaN, gradNorm: Infinity });
    }
    assertEquals(
      Deno.readTextFileSync(path),
      '{"stage":"pretrain","step":1,"epoch":0,"loss":"NaN","lr":0.001,"gradNorm":"Infinity"}\n',
    );
  });
});

Deno.test("a broken line in the middle is an error that names it", () => {
  withFile((path) => {
    Deno.writeTextFileSync(path, '{"stage":"a","step":1}\nrubbish\n{"stage":"a","step":2}\n');
    assertThrows(() => readMetrics(path), SyntaxError, "Line 2 of " + path + ' is no metric: "rubbish"');
  });
});

Deno.test("a file that does not exist has no metrics", () => {
  withFile((path) => assertEquals(readMetrics(path), []));
});
