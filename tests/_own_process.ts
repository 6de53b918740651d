/**
 * Tests that need a process of their own: they look at its memory or its child processes, which parallel test files would
 * share, change its environment variables, or call code that ends or stops the process where it fails.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { basename } from "node:path";
import { runDeno } from "./_child.ts";

const VARIABLE = "TUBELET_TEST_IN_OWN_PROCESS";

/**
 * A test that runs in a process of its own.
 *
 * @param file `import.meta.filename` of the test file; the process runs this test of it and no other.
 */
export function testInOwnProcess(
  file: string,
  test: Omit<Deno.TestDefinition, "fn"> & { fn: () => Promise<void> },
): void {
  if (Deno.env.get(VARIABLE) === test.name) return Deno.test(test);
  const fn = async () => {
    const env = { [VARIABLE]: test.name, NO_COLOR: "1" };
    const { code, out, error } = await runDeno(["test", "-A", "--no-check", "--filter", test.name, file], { env });
    assertEquals(code, 0, `${out}\n${error}`);
    assertMatch(out, /\| 1 passed/);
  };
  Deno.test({ ...test, fn });
}

/** The forms of `Deno.test` that the tests use. */
interface Register {
  (name: string, fn: () => void | Promise<void>): void;
  (test: Deno.TestDefinition): void;
}

/**
 * `Deno.test` for a file all of whose tests run in one process of its own, which the run of all tests shows as one test.
 *
 * @param file `import.meta.filename` of the test file.
 */
export function testsInOwnProcess(file: string): Register {
  if (Deno.env.get(VARIABLE) === file) return Deno.test;
  Deno.test(`all tests of ${basename(file)} pass in a process of their own`, async () => {
    const env = { [VARIABLE]: file, NO_COLOR: "1" };
    const { code, out, error } = await runDeno(["test", "-A", "--no-check", file], { env });
    assertEquals(code, 0, `${out}\n${error}`);
    assertMatch(out, /\| [1-9]\d* passed/);
  });
  return () => {};
}
