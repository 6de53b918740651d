/**
 * Decodes pictures with libav in this process: a folder of them as a clip, of which only those that the view wants are
 * read, and one picture as a clip of one frame. There is no clock: times are 0. Orientation tags (EXIF) are ignored; frames
 * that were taken from videos have none, and of pictures it is what PIL does.
 */
import type { DecodeRequest } from "./decoder.ts";
import { pictureFile, readFrameFolder } from "./_frame_folder.ts";
import { type PictureKind, readPicture } from "./_picture_file.ts";
import { turnOf } from "./_rotation.ts";
import { StillDecoder } from "./_still_decoder.ts";
import type { ClipInProgress } from "./_view_in_progress.ts";

/**
 * @param request What to decode.
 * @param clip Receives the pictures.
 * @throws {CorruptClipError} Pictures are missing, damaged, or change their size.
 */
export function paintFrameFolder(request: DecodeRequest, clip: ClipInProgress): void {
  const folder = readFrameFolder(request.path, request.listedFrames);
  clip.frameCount = folder.count;
  using decoder = new StillDecoder(request.path, /png/i.test(folder.ending) ? "png" : "jpeg");
  for (const [frame, takers] of clip.choose(folder.count)) {
    const file = pictureFile(folder, frame);
    const name = file.split(/[\\/]/).at(-1)!;
    decoder.decode(name, Deno.readFileSync(file), (picture) => clip.add(picture, takers, turnOf(null), 0n));
  }
}

/**
 * @param request What to decode, a file that is a picture.
 * @param kind Its kind.
 * @param clip Receives the picture.
 * @throws {CorruptClipError} It is damaged, cut short or too large.
 */
export function paintPicture(request: DecodeRequest, kind: PictureKind, clip: ClipInProgress): void {
  const { bytes } = readPicture(request, kind);
  clip.frameCount = 1;
  const takers = clip.choose(1).get(0)!;
  using decoder = new StillDecoder(request.path, kind);
  decoder.decode("its picture", bytes, (picture) => clip.add(picture, takers, turnOf(null), 0n));
}
