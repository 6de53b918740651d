/**
 * Tests that need a process of their own: they look at its memory, which parallel test files would share, or call code
 * that ends or stops the process where it fails.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";

const VARIABLE = "TUBELET_TEST_IN_OWN_PROCESS";
/** Beyond this a test hangs; the slowest takes some 20 s. */
const LIMIT_SECONDS = 180;

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
    const signal = AbortSignal.timeout(1000 * LIMIT_SECONDS);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", "--filter", test.name, file],
      env: { [VARIABLE]: test.name, NO_COLOR: "1" },
      signal,
    }).output();
    assert(!signal.aborted, `the test did not end within ${LIMIT_SECONDS} s`);
    const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
    assertEquals(code, 0, output);
    assertMatch(output, /\| 1 passed/);
  };
  Deno.test({ ...test, fn });
}
