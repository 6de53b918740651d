/** Tests that look at the memory of their process, which parallel test files would share. */
import { assertEquals, assertMatch } from "@std/assert";

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
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", "--filter", test.name, file],
      env: { [VARIABLE]: test.name, NO_COLOR: "1" },
    }).output();
    const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
    assertEquals(code, 0, output);
    assertMatch(output, /\| 1 passed/);
  };
  Deno.test({ ...test, fn });
}
