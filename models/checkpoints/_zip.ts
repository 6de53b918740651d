/**
 * The directory of a zip archive whose members are stored as they are, as `torch.save` writes it, with 64-bit sizes too.
 * Nothing is unpacked: a member is a byte range of the file. Compressed, encrypted, overlapping and doubly named members
 * are refused, and so are names that lead elsewhere. Checksums are not compared.
 */
import type { Range } from "./_stored.ts";

/** Reads a range of the file. */
type Read = (start: number, end: number) => Promise<Uint8Array<ArrayBuffer>>;

/** Bytes of records without their names, and most bytes of a comment. */
const END = 22, LOCATOR = 20, END64 = 56, ENTRY = 46, LOCAL = 30, COMMENT = 0xffff;
/** Most members, and most bytes of the directory: a checkpoint has one member a tensor. */
const MAX_MEMBERS = 20_000, MAX_DIRECTORY = 1 << 23;

interface Directory {
  readonly start: number;
  readonly bytes: number;
  readonly members: number;
}

interface Member {
  readonly name: string;
  readonly size: number;
  /** Where its local header begins. */
  readonly header: number;
}

/**
 * Reads the directory.
 *
 * @param size Bytes of the file.
 * @returns the range of every member's data, by name
 * @throws {SyntaxError} if it is no such archive, or a damaged one
 */
export async function readZip(size: number, read: Read): Promise<Map<string, Range>> {
  const directory = await findDirectory(size, read);
  const { start, bytes } = directory;
  const members = parseDirectory(directory, await read(start, start + bytes)).sort((a, b) => a.header - b.header);
  const ranges = new Map<string, Range>();
  for (const [i, member] of members.entries()) {
    if (ranges.has(member.name)) throw new SyntaxError(`it has two members named ${member.name}`);
    ranges.set(member.name, await dataRange(member, members[i + 1]?.header ?? start, read));
  }
  return ranges;
}

async function findDirectory(size: number, read: Read): Promise<Directory> {
  const tailStart = Math.max(0, size - END - COMMENT);
  const tail = await read(tailStart, size), view = viewOf(tail);
  for (let at = tail.length - END; at >= 0; at--) {
    if (view.getUint32(at, true) !== 0x06054b50 || view.getUint16(at + 20, true) !== tail.length - at - END) continue;
    const isSplit = view.getUint16(at + 4, true) !== view.getUint16(at + 6, true);
    if (isSplit) throw new SyntaxError("it is one part of an archive of several files");
    const locator = at - LOCATOR;
    const is64 = locator >= 0 && view.getUint32(locator, true) === 0x07064b50;
    const found = is64 ? await directory64(natural(view, locator + 8), tailStart + locator, read) : {
      members: view.getUint16(at + 10, true),
      bytes: view.getUint32(at + 12, true),
      start: view.getUint32(at + 16, true),
    };
    return checkDirectory(found, tailStart + at);
  }
  throw new SyntaxError("it has no end of a zip archive");
}

async function directory64(at: number, end: number, read: Read): Promise<Directory> {
  if (at > end - END64) throw new SyntaxError("its zip directory lies outside of the file");
  const view = viewOf(await read(at, at + END64));
  if (view.getUint32(0, true) !== 0x06064b50) throw new SyntaxError("it has no 64-bit zip directory where it should");
  return { members: natural(view, 32), bytes: natural(view, 40), start: natural(view, 48) };
}

function checkDirectory(directory: Directory, end: number): Directory {
  const { start, bytes, members } = directory;
  if (bytes > end || start > end - bytes) throw new SyntaxError("its zip directory lies outside of the file");
  if (members > MAX_MEMBERS || bytes > MAX_DIRECTORY || members * ENTRY > bytes) {
    throw new SyntaxError(
      `its zip directory has ${members} members in ${bytes} bytes; at most ${MAX_MEMBERS} in ${MAX_DIRECTORY} are read`,
    );
  }
  return directory;
}

function parseDirectory({ members }: Directory, bytes: Uint8Array<ArrayBuffer>): Member[] {
  const view = viewOf(bytes);
  const found: Member[] = [];
  for (let at = 0; found.length < members;) {
    if (at + ENTRY > bytes.length || view.getUint32(at, true) !== 0x02014b50) throw new SyntaxError(BROKEN);
    const nameEnd = at + ENTRY + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const end = extraEnd + view.getUint16(at + 32, true);
    if (end > bytes.length) throw new SyntaxError(BROKEN);
    const name = checkName(bytes.subarray(at + ENTRY, nameEnd));
    const flags = view.getUint16(at + 8, true), method = view.getUint16(at + 10, true);
    if ((flags & 0x2041) !== 0) throw new SyntaxError(`its member ${name} is encrypted`);
    if (method !== 0) {
      throw new SyntaxError(
        `its member ${name} is compressed (method ${method}); torch.save stores members as they are`,
      );
    }
    const extra = extra64(bytes.subarray(nameEnd, extraEnd));
    const wide = (field: number) => {
      const value = view.getUint32(field, true);
      return value === 0xffffffff ? extra.shift() ?? value : value;
    };
    const size = wide(at + 24), stored = wide(at + 20), header = wide(at + 42);
    if (size !== stored) throw new SyntaxError(`its member ${name} has ${size} bytes in ${stored}`);
    found.push({ name, size, header });
    at = end;
  }
  return found;
}

const BROKEN = "its zip directory cannot be read";

/** The 64-bit sizes of an entry, in their fixed order. */
function extra64(bytes: Uint8Array<ArrayBuffer>): number[] {
  const view = viewOf(bytes);
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = view.getUint16(at + 2, true);
    if (at + 4 + length > bytes.length) break;
    if (view.getUint16(at, true) === 1) {
      return Array.from({ length: Math.floor(length / 8) }, (_, i) => natural(view, at + 4 + 8 * i));
    }
    at += 4 + length;
  }
  return [];
}

/** Members are never written to disk; a name that tries to leave the archive is refused all the same. */
function checkName(bytes: Uint8Array): string {
  let name: string;
  try {
    name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SyntaxError("it has a member whose name is not UTF-8");
  }
  if (name === "" || /^\/|\\|\0|^[A-Za-z]:/.test(name) || name.split("/").includes("..")) {
    throw new SyntaxError(`its member ${JSON.stringify(name)} has a name that leads out of the archive`);
  }
  return name;
}

/** @param limit Where the next member or the directory begins. */
async function dataRange({ name, size, header }: Member, limit: number, read: Read): Promise<Range> {
  if (header > limit - LOCAL) throw new SyntaxError(`its member ${name} overlaps another one or the directory`);
  const view = viewOf(await read(header, header + LOCAL));
  const start = header + LOCAL + view.getUint16(26, true) + view.getUint16(28, true);
  if (view.getUint32(0, true) !== 0x04034b50 || view.getUint16(8, true) !== 0) {
    throw new SyntaxError(`its member ${name} does not begin where the directory says`);
  }
  if (size > limit || start > limit - size) {
    throw new SyntaxError(`its member ${name} of ${size} bytes overlaps what follows it`);
  }
  return [start, start + size];
}

function natural(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
