/** The planned file: equal bytes for equal trees, and what the HDF5 library makes of it. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import h5wasm from "h5wasm/node";
import { Hdf5File } from "../../../pipeline/shards/_h5wasm.ts";
import { OPEN_FLAGS, superblock } from "../../../pipeline/shards/_hdf5_messages.ts";
import { bytesOf } from "../../../pipeline/shards/_positional.ts";
import type { StoredDtype } from "../../../pipeline/shards/dtypes.ts";
import { type GroupNode, layOut } from "../../../pipeline/shards/hdf5_layout.ts";
import { lookup3 } from "../../../pipeline/shards/lookup3.ts";
import { ShardError } from "../../../pipeline/shards/shard_error.ts";
import { inTempDir } from "./_sets.ts";

const VALUES: Partial<Record<StoredDtype, ArrayBufferView>> = {
  u8: Uint8Array.of(0, 255),
  i8: Int8Array.of(-128, 127),
  u16: Uint16Array.of(1, 65535),
  i16: Int16Array.of(-32768, 2),
  u32: Uint32Array.of(7, 2 ** 32 - 1),
  i32: Int32Array.of(-(2 ** 31), 3),
  u64: BigUint64Array.of(9n, 2n ** 64n - 1n),
  i64: BigInt64Array.of(-(2n ** 63n), 4n),
  f16: new Float16Array([1.5, -65504]),
  f32: Float32Array.of(0.1, -1e30),
  f64: Float64Array.of(0.1, -1e300),
};
const TREE: GroupNode = {
  attributes: { text: "größer", count: 3, share: 0.5, list: [1, 2], names: ["a", "long"], big: 2n ** 40n },
  children: {
    values: {
      children: Object.fromEntries(
        Object.keys(VALUES).map((dtype) => [dtype, { dtype: dtype as StoredDtype, shape: [2, 1] }]),
      ),
    },
    empty: { dtype: "u8", shape: [0] },
  },
};

Deno.test("lookup3 gives the published hash of no bytes and the checksum that the HDF5 library writes", () =>
  inTempDir(async (folder) => {
    assertEquals(lookup3(new Uint8Array(0)), 0xdeadbeef);
    await h5wasm.ready;
    const path = `${folder}/library.h5`;
    const file = new h5wasm.File(path, "w", { libver: "v110" });
    file.create_dataset({ name: "x", data: [1, 2, 3] });
    file.close();
    const head = Deno.readFileSync(path).subarray(0, 48);
    assertEquals(head[8], 3);
    assertEquals(lookup3(head.subarray(0, 44)), new DataView(head.slice().buffer).getUint32(44, true));
  }));

Deno.test("the same tree gives the same bytes, and only the open flag and its checksum tell an unsealed file", () => {
  const first = layOut(TREE).metadata(false), second = layOut(structuredClone(TREE)).metadata(false);
  assertEquals(first, second);
  const open = layOut(TREE).metadata(true);
  assertEquals(
    [...open.keys()].filter((i) => open[i] !== first[i]).filter((i) => i !== 11 && (i < 44 || i > 47)),
    [],
  );
  assertEquals([open[11], first[11]], [OPEN_FLAGS, 0]);
});

Deno.test("datasets lie one after the other at multiples of 4096 and are no longer than their values", () => {
  const { datasets, fileBytes, metadataBytes } = layOut({
    children: { a: { dtype: "u8", shape: [5000] }, b: { dtype: "f32", shape: [2, 3] } },
  });
  assertEquals(datasets.map(({ path, offset, bytes }) => ({ path, offset, bytes })), [
    { path: "/a", offset: metadataBytes, bytes: 5000 },
    { path: "/b", offset: metadataBytes + 8192, bytes: 24 },
  ]);
  assertEquals([metadataBytes, fileBytes], [4096, 4096 + 8192 + 4096]);
});

Deno.test("the HDF5 library reads every element type with its values, and attributes", () =>
  inTempDir(async (folder) => {
    const path = `${folder}/all.h5`, layout = layOut(TREE);
    const bytes = new Uint8Array(layout.fileBytes);
    bytes.set(layout.metadata(false));
    for (const [dtype, values] of Object.entries(VALUES)) {
      bytes.set(bytesOf(values), layout.datasets.find((dataset) => dataset.path === `/values/${dtype}`)!.offset);
    }
    Deno.writeFileSync(path, bytes);
    using file = await Hdf5File.open(path);
    for (const [dtype, values] of Object.entries(VALUES)) {
      assertEquals(file.dataset(`/values/${dtype}`), { dtype: dtype as StoredDtype, shape: [2, 1] });
      assertEquals(file.read(`/values/${dtype}`), bytesOf(values).slice());
      assertEquals(file.read(`/values/${dtype}`, 1), bytesOf(values).slice(values.byteLength / 2));
    }
    assertEquals(file.read("/empty").length, 0);
    assertEquals([file.textAttribute("text"), file.textAttribute("count")], ["größer", undefined]);

    const own = new h5wasm.File(path, "r");
    assertEquals(Number(own.attrs["count"]!.value), 3);
    assertEquals(own.attrs["share"]!.value, 0.5);
    assertEquals(own.attrs["names"]!.value, ["a", "long"]);
    own.close();
  }));

Deno.test("the HDF5 library refuses a file that is not sealed or cut by one byte, and headers that are damaged", () =>
  inTempDir(async (folder) => {
    const path = `${folder}/x.h5`, layout = layOut(TREE);
    const write = (head: Uint8Array, cut = 0) => {
      const bytes = new Uint8Array(layout.fileBytes);
      bytes.set(head);
      Deno.writeFileSync(path, bytes.subarray(0, bytes.length - cut));
    };
    for (const [head, cut] of [[layout.metadata(true), 0], [layout.metadata(false), 1]] as const) {
      write(head, cut);
      await assertRejects(() => Hdf5File.open(path), ShardError, "refused by the HDF5 library");
    }
    const damaged = layout.metadata(false);
    damaged[60]! ^= 1;
    write(damaged);
    using file = await Hdf5File.open(path);
    assertThrows(() => file.read("/values/u8"), ShardError, "/values/u8 cannot be found by the HDF5 library");
    Deno.writeTextFileSync(path, "hello");
    await assertRejects(() => Hdf5File.open(path), ShardError, `${path} is not an HDF5 file`);
  }));

Deno.test("a dataset beyond 4 GiB is read at its place by the library", () =>
  inTempDir(async (folder) => {
    const path = `${folder}/sparse.h5`;
    const layout = layOut({
      children: { big: { dtype: "u8", shape: [5, 2 ** 30] }, small: { dtype: "u8", shape: [3] } },
    });
    using out = Deno.openSync(path, { write: true, createNew: true });
    out.writeSync(layout.metadata(false));
    out.truncateSync(layout.fileBytes);
    out.seekSync(layout.datasets[1]!.offset, Deno.SeekMode.Start);
    out.writeSync(Uint8Array.of(4, 5, 6));
    assert(layout.datasets[1]!.offset > 2 ** 32);
    using file = await Hdf5File.open(path);
    assertEquals([...file.read("/small")], [4, 5, 6]);
  }));

Deno.test("names and shapes that HDF5 cannot hold are refused", () => {
  const tree = (name: string, shape = [1]): GroupNode => ({ children: { [name]: { dtype: "u8", shape } } });
  for (const name of ["", ".", "a/b", "x".repeat(256)]) {
    assertThrows(() => layOut(tree(name)), RangeError, "is no HDF5 name");
  }
  assertThrows(() => layOut(tree("x", [1.5])), RangeError, "Dataset /x has shape [1.5]");
  assertThrows(() => layOut(tree("x", [2 ** 52, 4])), RangeError, "the limit is 2^53");
  assertThrows(
    () => layOut({ children: {}, attributes: { long: "x".repeat(70_000) } }),
    RangeError,
    "Attribute long takes 70",
  );
  assertEquals(superblock(48, 4096, false).length, 48);
});
