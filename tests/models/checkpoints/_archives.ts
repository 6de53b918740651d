/** Zip archives written by hand, for files that no honest program writes. */

/** Calls a body with a folder that is removed afterwards. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Member {
  name: string;
  data: Uint8Array;
  size: number;
  method: number;
}

/** An archive of members stored as they are; each letter of a text is a byte. */
export function zipped(members: readonly (readonly [name: string, data: string])[]): Uint8Array {
  return archive(members.map(([name, text]) => {
    const data = bytesOf(text);
    return { name, data, size: data.length, method: 0 };
  }));
}

/** The same members, compressed. */
export async function deflated(members: readonly (readonly [name: string, data: string])[]): Promise<Uint8Array> {
  return archive(
    await Promise.all(members.map(async ([name, text]) => {
      const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new CompressionStream("deflate-raw"));
      return { name, data: await new Response(stream).bytes(), size: text.length, method: 8 };
    })),
  );
}

function archive(members: readonly Member[]): Uint8Array {
  const parts: Uint8Array[] = [], directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, data, size, method } of members) {
    const label = bytesOf(name);
    // Method, time, date, checksum, stored and real size, lengths of name and extra field.
    const common = [u16(method), u16(0), u16(0), u32(0), u32(data.length), u32(size), u16(label.length), u16(0)];
    const local = join([u32(0x04034b50), u16(20), u16(0), ...common, label]);
    directory.push(
      join([u32(0x02014b50), u16(20), u16(20), u16(0), ...common, u16(0), u16(0), u16(0), u32(0), u32(at), label]),
    );
    parts.push(local, data);
    at += local.length + data.length;
  }
  const entries = join(directory), count = u16(members.length);
  return join([...parts, entries, u32(0x06054b50), u32(0), count, count, u32(entries.length), u32(at), u16(0)]);
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >>> 8);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
