/** The part of the report that shows clips: frames, masks, what the student sees and what it makes of it. */
import { joinCubes } from "../../decoders/cubes.ts";
import { filmStrip, type StripSize, stripSize } from "./film_strip.ts";
import {
  GREY_SPAN,
  MASK_COLOURS,
  maskFrames,
  normalisedCubes,
  predictedFrames,
  type Rgb,
  visibleFrames,
} from "./frames.ts";
import { type Html, html } from "./html.ts";
import type { ReportClip } from "./report_data.ts";
import { formatAmount, formatShare } from "../units.ts";

/** Pixels of all strips together; a PNG of a photograph takes about three bytes for each, a third more as text. */
const PAGE_PIXELS = 450_000;

const PREDICTION_TRUE = "Prediction, with the true mean and deviation of each cube put back";
const PREDICTION_NONE = "Prediction as the model makes it: normalised pixels, no mean and no deviation";

/** A film strip with what it shows. */
interface Row {
  title: string;
  clip: Uint8Array;
}

/** A few clips of a run. */
export function clipsSection(clips: readonly ReportClip[]): Html {
  const rows = clips.map(rowsOf);
  const strips = Math.max(1, rows.flat().length);
  return html`<section id="clips" aria-labelledby="clips-h">
<h2 id="clips-h">Clips</h2>
${
    clips.length === 0
      ? html`<p>No clips to show.</p>`
      : legend(clips.some(({ prediction }) => prediction?.form === "mae"))
  }
${clips.map((clip, i) => clipFigure(clip, rows[i] ?? [], stripSize(clip.layout, PAGE_PIXELS / strips)))}
</section>`;
}

/** @param isWhole whether all channels of a cube are normalised as one */
function legend(isWhole: boolean): Html {
  const keys: [Rgb, string][] = [
    [MASK_COLOURS.student, "seen by student and teacher"],
    [MASK_COLOURS.teacherOnly, "seen by the teacher only"],
    [MASK_COLOURS.hidden, "hidden from both"],
  ];
  return html`<p class="legend">Cubes: ${
    keys.map(([colour, text]) =>
      html`
        <span
          class="key"><svg viewBox="0 0 12 12" aria-hidden="true"><path d="M0 0H12V12H0Z" fill="rgb(${colour.join(
            ",",
          )})"/></svg>${text}</span>
      `
    )
  }</p>
<p>The model predicts the pixels of the cubes hidden from the student after each cube${
    isWhole ? "" : " and colour channel"
  } was normalised;
it does not predict the mean and the deviation taken out. Where these are put back, brightness and contrast of every
hidden cube are the truth, only the pattern in it is predicted, and the cubes that the student saw are the original.
Where they are not, mid grey is a cube's mean, black and white are ${GREY_SPAN} deviations away, and the cubes that the
student saw are left grey.</p>`;
}

function rowsOf(clip: ReportClip): Row[] {
  const { cubes, layout, studentTokens, teacherOnlyTokens, prediction } = clip;
  const rows: Row[] = [
    { title: "Frames", clip: joinCubes(cubes, layout) },
    { title: "Masks", clip: maskFrames(cubes, layout, studentTokens, teacherOnlyTokens) },
    { title: "What the student sees", clip: visibleFrames(cubes, layout, studentTokens) },
  ];
  if (!prediction) return rows;
  const target = normalisedCubes(prediction.tokens, cubes, layout, prediction.form);
  return [
    ...rows,
    { title: PREDICTION_TRUE, clip: predictedFrames(prediction, cubes, layout, "true") },
    { title: PREDICTION_NONE, clip: predictedFrames(prediction, cubes, layout, "none") },
    { title: "What it should have predicted, shown alike", clip: predictedFrames(target, cubes, layout, "none") },
  ];
}

function clipFigure(clip: ReportClip, rows: readonly Row[], size: StripSize): Html {
  const { layout, name, label } = clip;
  const shown = size.frameStep === 1
    ? `all ${formatAmount(layout.frames, "frame")}`
    : `every ${ordinal(size.frameStep)} of ${formatAmount(layout.frames, "frame")}`;
  const smaller = size.shrink > 1 ? `, shown at 1/${size.shrink} of ${layout.width} × ${layout.height} pixels` : "";
  const share = (tokens: Int32Array) => formatShare(tokens.length / layout.tokens);
  return html`<article class="clip">
<h3><bdi>${name}</bdi>${
    label !== null && html`
      <span class="muted">${label}</span>
    `
  }</h3>
<p class="muted">${shown}${smaller}; the student sees ${share(clip.studentTokens)} of the cubes, the teacher another ${
    share(clip.teacherOnlyTokens)
  }</p>
${rows.map((row) => strip(row, clip, size))}
</article>`;
}

function strip({ title, clip }: Row, { name, layout }: ReportClip, size: StripSize): Html {
  const scroll = html`
    <div class="strip" tabindex="0" role="group"
      aria-label="${title}"><img src="${filmStrip(clip, layout, size)}" width="${size.stripWidth}" height="${size
        .height}" alt="${title} of ${name}: ${formatAmount(size.frames, "frame")} from left to right"></div>
  `;
  return html`<figure><figcaption>${title}</figcaption>${scroll}</figure>`;
}

function ordinal(number: number): string {
  return number === 2 ? "second" : number === 3 ? "third" : `${number}th`;
}
