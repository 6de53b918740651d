/**
 * Tests that need a process of their own: they look at its memory, which parallel test files would share, or call code
 * that ends or stops the process where it fails.
 */
import { assertEquals, assertMatch } from "@std/assert";
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
