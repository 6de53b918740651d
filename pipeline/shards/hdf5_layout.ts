/**
 * Lays out an HDF5 file before a byte is written: one metadata block, then each dataset contiguous, uncompressed and
 * 4 KiB aligned. Row `i` of a dataset is therefore the plain byte range at `offset + i * rowBytes`, and the same tree
 * gives the same bytes (no timestamps).
 *
 * Standard HDF5: superblock version 3, object headers version 2, compact groups. No chunks, filters or resizing.
 */
import {
  attribute,
  type AttributeValue,
  ByteList,
  contiguousLayout,
  dataspace,
  datatype,
  hardLink,
  message,
  objectHeader,
  superblock,
  SUPERBLOCK_BYTES,
  UNDEFINED_ADDRESS,
} from "./_hdf5_messages.ts";
import { datasetBytes, type StoredDtype } from "./dtypes.ts";

export type { AttributeValue } from "./_hdf5_messages.ts";

/** Attributes by name. They must be known when the file is planned; results belong into datasets. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A dataset to lay out. */
export interface DatasetNode {
  readonly dtype: StoredDtype;
  /** Sizes per axis; the first is the number of rows. */
  readonly shape: readonly number[];
  readonly attributes?: Attributes;
}

/** A group to lay out. */
export interface GroupNode {
  readonly children: Readonly<Record<string, DatasetNode | GroupNode>>;
  readonly attributes?: Attributes;
}

/** Where a dataset lies in the file. */
export interface PlacedDataset {
  /** Path inside the file, such as `/index/item`. */
  readonly path: string;
  /** Byte offset of the first element. */
  readonly offset: number;
  /** Bytes of all elements. */
  readonly bytes: number;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
}

/** A planned file. */
export interface FileLayout {
  /** Bytes of the file. */
  readonly fileBytes: number;
  /** Bytes of the metadata block at the start. */
  readonly metadataBytes: number;
  /** Datasets in the order in which they lie in the file. */
  readonly datasets: readonly PlacedDataset[];
  /** The metadata block; `open` marks a file that is being written, which every HDF5 library refuses. */
  metadata(open: boolean): Uint8Array<ArrayBuffer>;
}

const DEFAULT_ALIGNMENT = 4096;
const MESSAGE_DATASPACE = 1, MESSAGE_LINK_INFO = 2, MESSAGE_DATATYPE = 3, MESSAGE_FILL_VALUE = 5, MESSAGE_LINK = 6;
const MESSAGE_LAYOUT = 8, MESSAGE_GROUP_INFO = 10, MESSAGE_ATTRIBUTE = 12;
/** Fill value message: version 3, allocated early, nothing written, none defined. */
const NO_FILL_VALUE = [3, 0x0a];
const LONGEST_NAME = 255;

/**
 * Plans a file.
 *
 * @param root The root group.
 * @param alignment Datasets start at multiples of this many bytes.
 * @returns Offsets, sizes and the metadata block.
 * @throws {RangeError} If a name or shape cannot be stored.
 */
export function layOut(root: GroupNode, alignment: number = DEFAULT_ALIGNMENT): FileLayout {
  const nodes: { path: string; node: DatasetNode | GroupNode }[] = [];
  const collect = (node: DatasetNode | GroupNode, path: string) => {
    nodes.push({ path, node });
    if ("dtype" in node) return checkShape(node, path);
    for (const [name, child] of Object.entries(node.children)) {
      checkName(name, path);
      collect(child, `${path}/${name}`);
    }
  };
  collect(root, "");

  // Headers have the same length whatever the addresses in them, so a first encoding with zeros gives the positions.
  const noAddress = () => 0;
  const headerAt = new Map<string, number>();
  let position = SUPERBLOCK_BYTES;
  for (const { path, node } of nodes) {
    headerAt.set(path, position);
    position += roundUp(encodeHeader(node, path, noAddress, noAddress).length, 8);
  }
  const metadataBytes = roundUp(position, alignment);
  let end = metadataBytes;
  const datasets: PlacedDataset[] = [];
  const dataAt = new Map<string, number>();
  for (const { path, node } of nodes) {
    if (!("dtype" in node)) continue;
    const bytes = datasetBytes(node.dtype, node.shape);
    datasets.push({ path, offset: end, bytes, dtype: node.dtype, shape: [...node.shape] });
    dataAt.set(path, end);
    end = roundUp(end + bytes, alignment);
  }
  if (!Number.isSafeInteger(end)) throw new RangeError(`The file would take ${end} bytes, the limit is 2^53`);

  const metadata = (open: boolean) => {
    const block = new Uint8Array(metadataBytes);
    block.set(superblock(headerAt.get("")!, end, open));
    for (const { path, node } of nodes) {
      const header = encodeHeader(node, path, (child) => headerAt.get(child)!, (dataset) => dataAt.get(dataset)!);
      block.set(header, headerAt.get(path)!);
    }
    return block;
  };
  return { fileBytes: end, metadataBytes, datasets, metadata };
}

/** Object header of one node; the two functions give the addresses of headers and of data. */
function encodeHeader(
  node: DatasetNode | GroupNode,
  path: string,
  headerAddress: (path: string) => number,
  dataAddress: (path: string) => number,
): Uint8Array<ArrayBuffer> {
  const messages: number[] = [];
  const add = (type: number, body: readonly number[]) => {
    for (const byte of message(type, body)) messages.push(byte);
  };
  if ("dtype" in node) {
    add(MESSAGE_DATASPACE, dataspace(node.shape));
    add(MESSAGE_DATATYPE, datatype(node.dtype));
    add(MESSAGE_FILL_VALUE, NO_FILL_VALUE);
    add(MESSAGE_LAYOUT, contiguousLayout(dataAddress(path), datasetBytes(node.dtype, node.shape)));
  } else {
    add(MESSAGE_LINK_INFO, new ByteList().u8(0, 0).int(UNDEFINED_ADDRESS, 8).int(UNDEFINED_ADDRESS, 8).bytes);
    add(MESSAGE_GROUP_INFO, [0, 0]);
    for (const name of Object.keys(node.children)) {
      add(MESSAGE_LINK, hardLink(name, headerAddress(`${path}/${name}`)));
    }
  }
  for (const [name, value] of Object.entries(node.attributes ?? {})) add(MESSAGE_ATTRIBUTE, attribute(name, value));
  return objectHeader(messages);
}

function checkName(name: string, path: string): void {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes === 0 || bytes > LONGEST_NAME || name.includes("/") || name === ".") {
    throw new RangeError(`"${name}" in ${path || "/"} is no HDF5 name: 1 to ${LONGEST_NAME} bytes without a slash`);
  }
}

function checkShape(node: DatasetNode, path: string): void {
  if (node.shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    throw new RangeError(`Dataset ${path} has shape [${node.shape}]: sizes are integers from 0`);
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
