/**
 * Messages between a process and its decoder lanes: an eight-byte header (bytes of the text, bytes of the payload, both
 * uint32, little-endian), a JSON text, and a payload of raw bytes that is never copied into a text.
 */

/** The line on stderr by which a lane asks for its end. */
export const TOO_MUCH_MEMORY = "tubelet lane: too much memory";

const HEADER_BYTES = 8;
const CHUNK_BYTES = 65_536;

/** @returns Header and text; the payload of `payloadBytes` bytes is to follow. */
export function messageHead(content: unknown, payloadBytes = 0): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(content));
  const head = new Uint8Array(HEADER_BYTES + text.length);
  const view = new DataView(head.buffer);
  view.setUint32(0, text.length, true);
  view.setUint32(4, payloadBytes, true);
  head.set(text, HEADER_BYTES);
  return head;
}

/** Reads messages from a stream of bytes. */
export class MessageReader<Content> {
  readonly #stream: ReadableStreamBYOBReader;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(CHUNK_BYTES);
  #rest: Uint8Array<ArrayBuffer> = this.#buffer.subarray(0, 0);

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#stream = stream.getReader({ mode: "byob" });
  }

  /**
   * Reads the next message up to its payload, which `payload` must then read.
   *
   * @returns Null at the end of the stream, also in the middle of a message.
   */
  async next(): Promise<{ content: Content; payloadBytes: number } | null> {
    const header = new Uint8Array(HEADER_BYTES);
    if (!await this.payload(header)) return null;
    const view = new DataView(header.buffer);
    const text = new Uint8Array(view.getUint32(0, true));
    if (!await this.payload(text)) return null;
    return { content: JSON.parse(new TextDecoder().decode(text)), payloadBytes: view.getUint32(4, true) };
  }

  /** Fills `into`. @returns False where the stream ends before it is full. */
  async payload(into: Uint8Array): Promise<boolean> {
    let at = 0;
    while (at < into.length) {
      if (this.#rest.length === 0) {
        const { value, done } = await this.#stream.read(this.#buffer);
        if (value === undefined || done) return false;
        this.#rest = value;
        this.#buffer = new Uint8Array(value.buffer);
      }
      const part = this.#rest.subarray(0, into.length - at);
      into.set(part, at);
      at += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return true;
  }
}
