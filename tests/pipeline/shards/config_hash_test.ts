/** Canonical JSON and its hash: what must be equal is equal, and what JSON would change is refused. */
import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { canonicalJson, configFolder, configHash } from "../../../pipeline/shards/config_hash.ts";
import { sha256OfFile } from "../../../pipeline/shards/file_hash.ts";
import { featureFormat } from "../../../pipeline/shards/feature_format.ts";
import { frameFormat } from "../../../pipeline/shards/frame_format.ts";
import { FRAMES, inTempDir, TEACHER } from "./_sets.ts";

Deno.test("the order of keys does not change the hash, every value does", () => {
  assertEquals(configHash({ a: 1, b: { c: [2], d: "x" } }), configHash({ b: { d: "x", c: [2] }, a: 1 }));
  const hashes = [{ a: 1 }, { a: "1" }, { a: [1] }, { a: null }, { b: 1 }, { a: 1.5 }].map(configHash);
  assertEquals(new Set(hashes).size, hashes.length);
  assertEquals(
    configHash({}),
    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", // printf '{}' | sha256sum
  );
  assertEquals(configFolder({}), "44136fa355b3");
});

Deno.test("the hashes of a frame and a feature configuration stay what they are, for caches outlive releases", () => {
  assertEquals(
    configHash(frameFormat.parse(FRAMES)),
    "7bd35dc4b59742ec8f5baa2ff5d24e31d86dcf9418a6e59f8c78b5d52204a109",
  );
  const features = { ...TEACHER, ...FRAMES, framesConfigSha256: "cd".repeat(32), slots: 2, positions: 4 };
  const { grid: _grid, cube: _cube, ...rest } = features;
  assertEquals(
    configHash(featureFormat.parse(rest)),
    "c8baa5126766cc0407360955d9ca3adfd1688d56d150e312efc6ebd22cd28849",
  );
});

Deno.test("a default that is spelled out gives the same hash, another seed a different one", () => {
  const hash = (change: object) => configHash(frameFormat.parse({ ...FRAMES, ...change }));
  assertEquals(hash({ views: 1 }), hash({}));
  assertNotEquals(hash({ provenance: { list: "0123", seed: 8 } }), hash({}));
});

Deno.test("what JSON would change silently is refused with its place", () => {
  assertThrows(() => canonicalJson({ a: [0, NaN] }), TypeError, "the configuration.a[1] is NaN");
  assertThrows(() => canonicalJson({ a: undefined }), TypeError, "the configuration.a is undefined");
  assertThrows(() => canonicalJson({ a: -0 }), TypeError, "the configuration.a is -0");
  assertThrows(() => canonicalJson({ a: new Date(0) }), TypeError, "the configuration.a is");
  assertThrows(() => canonicalJson({ a: "\ud800" }), TypeError, "not valid Unicode");
});

Deno.test("a wrong configuration names every wrong field", () => {
  assertThrows(
    () => frameFormat.parse({ ...FRAMES, items: 0, extra: 1, grid: [1, 2] }),
    TypeError,
    "The settings of frame shards are wrong",
  );
  assertThrows(
    () => featureFormat.parse({ ...TEACHER, teacherPositions: 5, positions: 4 }),
    TypeError,
    "dataset",
  );
});

Deno.test("a file has the SHA-256 of its bytes, also when it is longer than one read or has a thread of its own", () =>
  inTempDir(async (folder) => {
    Deno.writeTextFileSync(`${folder}/abc`, "abc");
    assertEquals(
      await sha256OfFile(`${folder}/abc`),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", // FIPS 180-2, appendix B.1
    );
    const bytes = new Uint8Array(4 * 2 ** 20 + 1).fill(1);
    Deno.writeFileSync(`${folder}/long`, bytes);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    assertEquals(await sha256OfFile(`${folder}/long`), digest.toHex());
    // Bytes that have yet to be written at the beginning.
    const head = bytes.slice(0, 1000).fill(2), changed = bytes.slice();
    changed.set(head);
    const other = new Uint8Array(await crypto.subtle.digest("SHA-256", changed));
    assertEquals(await sha256OfFile(`${folder}/long`, head), other.toHex());

    Deno.truncateSync(`${folder}/long`, 40 * 2 ** 20);
    const zeros = new Uint8Array(40 * 2 ** 20);
    zeros.set(bytes);
    const large = new Uint8Array(await crypto.subtle.digest("SHA-256", zeros));
    assertEquals(await sha256OfFile(`${folder}/long`), large.toHex());
    zeros.set(head);
    const largeOther = new Uint8Array(await crypto.subtle.digest("SHA-256", zeros));
    assertEquals(await sha256OfFile(`${folder}/long`, head), largeOther.toHex());
    const missing = await assertRejects(() => sha256OfFile(`${folder}/none`));
    assertEquals((missing as { code?: string }).code, "ENOENT");
  }));
