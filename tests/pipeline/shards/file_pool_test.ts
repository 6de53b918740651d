/** The pool of open files: descriptors are kept, bounded, never shared, and all closed in the end. */
import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import fs from "node:fs";
import { FilePool } from "../../../pipeline/shards/_file_pool.ts";
import { inTempDir } from "./_sets.ts";

const isOpen = (fd: number) => {
  try {
    fs.fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

function withFiles(body: (paths: string[]) => Promise<void> | void): Promise<void> {
  return inTempDir((folder) => {
    const paths = ["a", "b", "c"].map((name) => `${folder}/${name}`);
    for (const path of paths) Deno.writeTextFileSync(path, path);
    return body(paths);
  });
}

Deno.test("a file stays open for the next use, and the one unused longest is closed first", () =>
  withFiles(([a, b, c]) => {
    const checked: string[] = [];
    using pool = new FilePool(2, (_fd, path) => void checked.push(path));
    const use = (path: string) => pool.withFile(path, (fd) => fd);
    const first = use(a!);
    assertEquals(use(a!), first);
    use(b!);
    use(c!);
    assertEquals([pool.idle, isOpen(first)], [2, false]);
    assertEquals(checked, [a, b, c]);
  }));

Deno.test("uses at the same time have a descriptor each, and files in use are closed after the pool", () =>
  withFiles(async ([a]) => {
    const pool = new FilePool(4, () => {});
    const { promise, resolve } = Promise.withResolvers<void>();
    const fds: number[] = [];
    const uses = [1, 2].map(() =>
      pool.withFileAsync(a!, async (fd) => {
        fds.push(fd);
        await promise;
      })
    );
    assertNotEquals(fds[0], fds[1]);
    pool[Symbol.dispose]();
    assertEquals(fds.map(isOpen), [true, true]);
    resolve();
    await Promise.all(uses);
    assertEquals(fds.map(isOpen), [false, false]);
  }));

Deno.test("a file is closed when its check or its use fails, and when it was replaced", () =>
  withFiles(async ([a, b]) => {
    const fds: number[] = [];
    using pool = new FilePool(4, (fd, path) => {
      fds.push(fd);
      if (path === b) throw new Error("refused");
    });
    const fail = () => {
      throw new Error("failed");
    };
    assertThrows(() => pool.withFile(b!, () => 0), Error, "refused");
    assertThrows(() => pool.withFile(a!, fail), Error, "failed");
    await assertRejects(() => pool.withFileAsync(a!, () => Promise.reject(new Error("failed"))), Error, "failed");
    pool.withFile(a!, () => 0);
    pool.drop(a!);
    assertEquals([pool.idle, fds.map(isOpen)], [0, [false, false, false, false]]);
    assertThrows(() => new FilePool(0, () => {}), RangeError, "A pool keeps 1 or more files open: found 0");
  }));
