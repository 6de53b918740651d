/** Claims on work in a shared folder: one holder at a time, and what the dead held is taken over. */
import { assert, assertEquals } from "@std/assert";
import fs from "node:fs";
import { Claims } from "../../../pipeline/shards/claims.ts";
import { runDeno } from "../../_child.ts";
import { inTempDir, listFolder } from "./_sets.ts";

/** Watches as another host would: only time tells it that a holder died. */
function elsewhere(folder: string, now: () => number): Claims {
  return new Claims(folder, { host: "elsewhere", staleMs: 1000, now });
}

/** Leaves a claim as a killed process does. */
async function leaveClaim(folder: string, name: string): Promise<void> {
  const claims = new URL("../../../pipeline/shards/claims.ts", import.meta.url).href;
  const code = `import { Claims } from ${JSON.stringify(claims)};
    new Claims(${JSON.stringify(folder)}).take(${JSON.stringify(name)});
    Deno.exit(0);`;
  const { code: exit } = await runDeno(["eval", "--ext=ts", code]);
  assertEquals([exit, listFolder(folder)], [0, [`.claim-${name}`]]);
}

Deno.test("a claim has one holder, until that one gives it up", () =>
  inTempDir((folder) => {
    using first = new Claims(folder);
    using second = new Claims(folder);
    const claim = first.take("a");
    assert(claim);
    assertEquals([first.take("a"), second.take("a")], [undefined, undefined]);
    assertEquals([second.names(), second.owner("a")?.pid], [["a"], Deno.pid]);
    assert(second.take("b"));
    claim[Symbol.dispose]();
    assert(second.take("a"));
    assertEquals(first.take("b"), undefined);
  }));

Deno.test("disposing of the claims of a process gives all of them up and leaves nothing", () =>
  inTempDir((folder) => {
    {
      using claims = new Claims(folder);
      for (const name of ["a", "b", "c"]) assert(claims.take(name));
      assertEquals(listFolder(folder), [".claim-a", ".claim-b", ".claim-c"]);
    }
    assertEquals(listFolder(folder), []);
  }));

Deno.test("what a dead process of this host held is taken over at once", () =>
  inTempDir(async (folder) => {
    await leaveClaim(folder, "a");
    using claims = new Claims(folder, { staleMs: Infinity });
    assert(claims.take("a"));
    assertEquals(listFolder(folder), [".claim-a"]);
  }));

Deno.test("from another host a claim is stale only after it was seen untouched for long enough", () =>
  inTempDir(async (folder) => {
    await leaveClaim(folder, "a");
    let now = 0;
    using watcher = elsewhere(folder, () => now);
    assertEquals(watcher.take("a"), undefined);
    now = 999;
    assertEquals(watcher.take("a"), undefined);
    // A touch, whatever time it says, starts the wait anew.
    fs.utimesSync(`${folder}/.claim-a`, new Date(5), new Date(5));
    now = 1500;
    assertEquals(watcher.take("a"), undefined);
    now = 2499;
    assertEquals(watcher.take("a"), undefined);
    now = 2500;
    assert(watcher.take("a"));
    assertEquals(watcher.owner("a")?.host, "elsewhere");
  }));

Deno.test("a holder that touches its claim keeps it, and one that slept does not remove that of its successor", () =>
  inTempDir(async (folder) => {
    let now = 0;
    using holder = new Claims(folder, { beatMs: 1 });
    using watcher = elsewhere(folder, () => now);
    const slept = holder.take("a");
    assertEquals(watcher.take("a"), undefined);
    await new Promise((resolve) => setTimeout(resolve, 20));
    now = 1e6;
    assertEquals(watcher.take("a"), undefined);

    fs.renameSync(`${folder}/.claim-a`, `${folder}/gone`);
    assert(watcher.take("a"));
    slept![Symbol.dispose]();
    assertEquals(watcher.owner("a")?.host, "elsewhere");
  }));

Deno.test("a claim that is renewed in the moment of its take-over goes back to its new holder", () =>
  inTempDir(async (folder) => {
    await leaveClaim(folder, "a");
    using successor = new Claims(folder);
    let looks = 0;
    // The clock is read between the look at a claim and its take-over.
    using watcher = elsewhere(folder, () => {
      if (looks++ === 1) assert(successor.take("a"));
      return looks * 1000;
    });
    assertEquals([watcher.take("a"), watcher.take("a"), looks], [undefined, undefined, 2]);
    assertEquals([successor.owner("a")?.host, listFolder(folder)], [Deno.hostname(), [".claim-a"]]);
  }));

Deno.test("of several watchers that see a claim stale one gets it", () =>
  inTempDir(async (folder) => {
    await leaveClaim(folder, "a");
    let now = 0;
    const watchers = [1, 2, 3].map(() => elsewhere(folder, () => now));
    for (const watcher of watchers) watcher.take("a");
    now = 1000;
    assertEquals(watchers.filter((watcher) => watcher.take("a")).length, 1);
    for (const watcher of watchers) watcher[Symbol.dispose]();
    assertEquals(listFolder(folder), []);
  }));
