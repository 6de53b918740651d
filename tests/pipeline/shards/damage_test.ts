/** Damage is found and named: flipped bytes, cut files, edited sidecars and settings. Nothing of it is handed out. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createFramesSet, type FramesSet, openFramesSet } from "../../../pipeline/shards/frame_shards.ts";
import { readSetConfig } from "../../../pipeline/shards/set_folder.ts";
import { ShardError } from "../../../pipeline/shards/shard_error.ts";
import { verifyShard } from "../../../pipeline/shards/shard_record.ts";
import type { Sidecar } from "../../../pipeline/shards/sidecar.ts";
import { FRAMES, framesSet, inTempDir, patch } from "./_sets.ts";

const flip = (bytes: Uint8Array) => void (bytes[0]! ^= 1);
const offsetOf = (set: FramesSet, dataset: string) => set.sidecar(1).datasets[dataset]!.offset;

Deno.test("one flipped bit in a row is named with file, dataset and row, and only that row is lost", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    patch(set.path(1), offsetOf(set, "/cubes") + 2 * 96 + 50, flip);
    const into = new Uint8Array(96);
    const error = await assertRejects(() => set.readRow("/cubes", 6, into), ShardError, "the bytes are damaged");
    assertEquals([error.path, error.dataset, error.row], [set.path(1), "/cubes", 6]);
    assertThrows(() => set.readRowSync("/cubes", 6, into), ShardError, "row 6 has CRC-32 0x");
    for (const row of [4, 5, 7]) await set.readRow("/cubes", row, into);
    await assertRejects(() => verifyShard(set, 1), ShardError, "row 6 has CRC-32 0x");
  }));

Deno.test("a flipped bit in a table is found when the table is read and by verification", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    patch(set.path(1), offsetOf(set, "/index/label"), flip);
    assertThrows(() => set.column("/index/label"), ShardError, "dataset /index/label has CRC-32");
    await assertRejects(() => verifyShard(set, 1), ShardError, "has SHA-256");
    patch(set.path(1), offsetOf(set, "/index/item"), flip);
    await assertRejects(() => verifyShard(set, 1), ShardError, "row 4 holds item 5 view 0, expected item 4 view 0");
  }));

Deno.test("a flipped bit in the headers or the superblock is found", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    await verifyShard(set, 1);
    patch(set.path(1), 1000, flip);
    await assertRejects(() => verifyShard(set, 1), ShardError);
    patch(set.path(1), 1000, flip);
    patch(set.path(1), 40, flip);
    assertThrows(() => openFramesSet(set.folder), ShardError, "has a damaged superblock: its checksum is 0x");
  }));

Deno.test("a file that is cut, replaced, gone, or still open in its writer is refused", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    const path = set.path(1), whole = Deno.readFileSync(path), size = whole.length;
    const refused = (problem: string) => {
      assertThrows(() => openFramesSet(set.folder), ShardError, problem);
      assertEquals(set.missing(), [1]);
    };
    Deno.truncateSync(path, size - 1);
    refused(`is ${size - 1} bytes long, its sidecar says ${size}`);
    Deno.removeSync(path);
    refused("is missing, its sidecar is there");
    Deno.writeFileSync(path, new Uint8Array(size));
    refused("is not an HDF5 file");
    const open = whole.slice();
    open[11] = 5;
    Deno.writeFileSync(path, open);
    refused("has a damaged superblock");
    Deno.writeFileSync(path, whole);
    assertEquals(set.missing(), []);
  }));

Deno.test("a file that is cut after it was opened gives an error, not the bytes that are left", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    const into = new Uint8Array(96), offset = offsetOf(set, "/cubes");
    await set.readRow("/cubes", 4, into);
    Deno.truncateSync(set.path(1), offset + 96 + 10);
    await assertRejects(() => set.readRow("/cubes", 5, into), ShardError, "row 5 ends after 10 of 96 bytes");
    assertThrows(() => set.readRowSync("/cubes", 7, into), ShardError, "row 7 ends after 0 of 96 bytes");
  }));

Deno.test("an edited sidecar is refused with the field that is wrong", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache, [5]);
    const path = set.path(1).replace(".h5", ".json"), text = Deno.readTextFileSync(path);
    type Edit = { -readonly [Key in keyof Sidecar]: Sidecar[Key] };
    const refused = (problem: string, edit: (sidecar: Edit) => void) => {
      const sidecar = JSON.parse(text);
      edit(sidecar);
      Deno.writeTextFileSync(path, JSON.stringify(sidecar));
      assertThrows(() => openFramesSet(set.folder), ShardError, problem);
    };
    refused("has config_sha256 0000", (s) => s.config_sha256 = "0".repeat(64));
    refused("has row0 0, expected 4", (s) => s.row0 = 0);
    refused("has content tubelet-features/1", (s) => s.content = "tubelet-features/1");
    refused("failed_rows and status.failed differ", (s) => s.failed_rows = []);
    refused("failed_rows is not ascending", (s) => (s.failed_rows = [4]));
    refused("status counts do not add up", (s) => s.status = { good: 4, failed: 1 });
    refused("datasets./cubes: bytes do not fit", (s) => s.datasets["/cubes"]!.bytes = 1);
    refused("/cubes ends beyond the file", (s) => s.datasets["/cubes"]!.offset += 2 ** 20);
    refused("dataset /cubes is u8 [4,96], expected u8 [4,8,12]", (s) => s.datasets["/cubes"]!.shape = [4, 96]);
    refused("dataset /names/offset is missing", (s) => delete s.datasets["/names/offset"]);
    refused("dataset /index/crc32 has no checksum", (s) => delete s.datasets["/index/crc32"]!.crc32);
    refused("is no valid sidecar", (s) => s.sha256 = "x");
    refused("extra", (s) => Object.assign(s, { extra: 1 }));
    Deno.writeTextFileSync(path, text.slice(0, 100));
    assertThrows(() => openFramesSet(set.folder), ShardError, "cannot be read as a sidecar");

    const moved = JSON.parse(text);
    moved.datasets["/cubes"].offset += 96;
    Deno.writeTextFileSync(path, JSON.stringify(moved));
    using open = openFramesSet(set.folder);
    await assertRejects(() => open.readRow("/cubes", 4, new Uint8Array(96)), ShardError, "the bytes are damaged");
    const hash = JSON.parse(text);
    hash.sha256 = "0".repeat(64);
    Deno.writeTextFileSync(path, JSON.stringify(hash));
    open.forget(1);
    await assertRejects(() => verifyShard(open, 1), ShardError, "its sidecar says 0000");
  }));

Deno.test("an edited config.json is refused, and a folder without one is no set", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    const path = `${set.folder}/config.json`, text = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, text.replace('"items":10', '"items":11'));
    assertThrows(() => createFramesSet(cache, FRAMES), ShardError, "holds other settings than the folder's name says");
    assertThrows(() => openFramesSet(set.folder), ShardError, "has config_sha256");
    Deno.writeTextFileSync(path, text + "\n");
    assertThrows(() => openFramesSet(set.folder), ShardError, "is not canonical JSON: it was edited");
    Deno.writeTextFileSync(path, '{"schema":"tubelet-frames/2"}');
    assertThrows(() => openFramesSet(set.folder), ShardError, "has schema tubelet-frames/2, expected tubelet-frames/1");
    assertThrows(() => readSetConfig(cache), ShardError, "does not exist: the folder is no shard set");
  }));

Deno.test("reads outside the set or into a buffer of another size are refused", () =>
  inTempDir(async (cache) => {
    using set = await framesSet(cache);
    await assertRejects(() => set.readRow("/cubes", 10, new Uint8Array(96)), RangeError, "There is no row 10");
    await assertRejects(() => set.readRow("/cubes", 0, new Uint8Array(95)), RangeError, "has 96 bytes, the buffer 95");
    await assertRejects(() => set.readRow("/index/item", 0, new Uint8Array(8)), RangeError, "read it as a table");
    assertThrows(() => set.column("/cubes"), ShardError, "read it row by row");
    assertThrows(() => set.column("/nothing"), ShardError, "/nothing is not in the shard's sidecar");
  }));
