/** Zip files and a pip that the tests make: no network, no Python. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import type { PluginWheel } from "../../../models/runtime/plugin.ts";

/** A member of a zip file; stored if it is not deflated. */
export interface Member {
  name: string;
  data: Uint8Array;
  deflate: boolean;
}

/** A zip file without checksums, which the reader does not look at. */
export function zip(members: readonly Member[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { name, data, deflate } of members) {
    const packed = deflate ? deflateRawSync(data) : data;
    const text = new TextEncoder().encode(name);
    const fields = new DataView(new ArrayBuffer(46));
    fields.setUint32(0, 0x504b0102);
    fields.setUint16(10, deflate ? 8 : 0, true);
    fields.setUint32(20, packed.length, true);
    fields.setUint32(24, data.length, true);
    fields.setUint16(28, text.length, true);
    fields.setUint32(42, offset, true);
    directory.push(new Uint8Array(fields.buffer), text);
    const local = new DataView(new ArrayBuffer(30));
    local.setUint32(0, 0x504b0304);
    local.setUint16(26, text.length, true);
    // An extra field in the local header only, as some writers have: the central directory does not tell its length.
    local.setUint16(28, 4, true);
    parts.push(new Uint8Array(local.buffer), text, new Uint8Array(4), packed);
    offset += 30 + text.length + 4 + packed.length;
  }
  const directoryBytes = directory.reduce((sum, part) => sum + part.length, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x504b0506);
  end.setUint16(8, members.length, true);
  end.setUint16(10, members.length, true);
  end.setUint32(12, directoryBytes, true);
  end.setUint32(16, offset, true);
  return Uint8Array.from([...parts, ...directory, new Uint8Array(end.buffer)].flatMap((part) => [...part]));
}

export function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** A wheel with a library of 300 kB, and its description. */
export function smallWheel(): { data: Uint8Array<ArrayBuffer>; library: Uint8Array; wheel: PluginWheel } {
  const library = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >>> 7);
  const data = zip([
    { name: "plug/__init__.py", data: new TextEncoder().encode("# nothing\n"), deflate: false },
    { name: "plug/plug.so", data: library, deflate: true },
  ]);
  const wheel: PluginWheel = {
    name: "plug",
    version: "1.2.3",
    platform: "any",
    file: "plug-1.2.3-py3-none-any.whl",
    fileBytes: data.length,
    fileSha256: sha256(data),
    member: "plug/plug.so",
    memberBytes: library.length,
    memberSha256: sha256(library),
  };
  return { data, library, wheel };
}

/**
 * Runs a body with a `PATH` on which only the given commands are, and a folder for what they fetch. Each command is the
 * shell script that `download` runs, with its arguments in `asked`; `--version` succeeds, and what was asked is noted in `calls`.
 */
export async function withCommands(
  commands: Readonly<Record<string, string>>,
  body: (world: { folder: string; calls: () => string[] }) => Promise<void>,
): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "tubelet_plugin_" });
  const [bin, folder, log] = [join(root, "bin"), join(root, "plugins"), join(root, "calls")];
  const before = new Map(["PATH", "TUBELET_PJRT_PLUGIN"].map((name) => [name, Deno.env.get(name)]));
  try {
    await Deno.mkdir(bin);
    await Deno.writeTextFile(log, "");
    for (const [name, script] of Object.entries(commands)) {
      const text = `#!/bin/sh\necho "$0 $*" >> '${log}'\ncase "$*" in *--version*) exit 0;; esac\nasked="$*"\n` +
        `while [ $# -gt 0 ]; do if [ "$1" = --dest ]; then dest=$2; fi; shift; done\n${script}\n`;
      await Deno.writeTextFile(join(bin, name), text, { mode: 0o755 });
    }
    Deno.env.set("PATH", bin);
    Deno.env.delete("TUBELET_PJRT_PLUGIN");
    await body({ folder, calls: () => Deno.readTextFileSync(log).split("\n").filter((line) => line.length > 0) });
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    await Deno.remove(root, { recursive: true });
  }
}
