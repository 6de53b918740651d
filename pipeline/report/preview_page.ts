/**
 * The page of `deno task preview`: for every clip its label and file, where in the picture and in the clip the view lies,
 * its frames, the masks over them and what the student is left with. Like the report it loads nothing and runs nothing.
 */
import { joinCubes } from "../../decoders/cubes.ts";
import type { Preview, PreviewClip, PreviewView } from "../preview.ts";
import { formatAmount, formatCount } from "../units.ts";
import { filmStrip, pngAddress, type StripSize, stripSize } from "./film_strip.ts";
import { MASK_COLOURS, maskFrames, visibleFrames } from "./frames.ts";
import { type Html, html } from "./html.ts";
import { page } from "./page.ts";

/** Pixels of all strips together: some megabytes of page. */
const PAGE_PIXELS = 1_500_000;

const OWN_STYLE = `
.view { display: grid; grid-template-columns: 220px minmax(0, 1fr); gap: 4px 28px; align-items: start; }
.view svg { width: 100%; height: auto; background: var(--raised); border: 1px solid var(--line); }
.view dl { margin: .6rem 0; font-size: .875rem; }
.view dt { color: var(--muted); }
.view dd { margin: 0 0 .3rem; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
@media (max-width: 640px) { .view { grid-template-columns: 1fr; } .view svg { max-width: 220px; } }
`;

/** The page as text. */
export function previewPage(preview: Preview, command: readonly string[]): string {
  const { clips, part, listed, classes, settings } = preview;
  const bad = clips.filter(({ seen }) => !("cubes" in seen)).length;
  const title = `Tubelet: ${part === "train" ? "training" : "validation"} clips as the model sees them`;
  const { clip } = settings;
  const rules = `${clip.frames} frames, sampling "${clip.sampling}", ` +
    `crop "${part === "train" ? clip.crop : "centre"}", ${clip.size} × ${clip.size} pixels, ` +
    `cubes of ${clip.tubelet} × ${clip.patch} × ${clip.patch}`;
  const strips = Math.max(1, 3 * (clips.length - bad));
  return page({
    title,
    style: OWN_STYLE,
    header: html`
      <p>${formatAmount(clips.length, "clip")} of ${formatCount(listed)}${classes > 0 &&
        `, ${formatAmount(classes, "class", "classes")}`}; ${rules}</p>
      <pre><code>deno task ${command.join(" ")}</code></pre>
      ${bad > 0 &&
        html`
          <div class="notes" role="note">
            <p>${formatAmount(bad, "clip")} of these cannot be decoded.</p>
          </div>
        `}
      <p>Look for a crop that misses what the label says, for colours that are off, for pictures on their side, and for labels
      of another clip. Masks are those of the first epoch.</p>
      ${legend()}
    `,
    main: clips.map((clip, i) => clipSection(clip, i, PAGE_PIXELS / strips)),
  });
}

function legend(): Html {
  const keys = [
    [MASK_COLOURS.student, "seen by student and teacher"],
    [MASK_COLOURS.teacherOnly, "seen by the teacher only"],
    [MASK_COLOURS.hidden, "hidden from both"],
  ] as const;
  return html`<p class="legend">${
    keys.map(([colour, text]) =>
      html`
        <span
          class="key"><svg viewBox="0 0 12 12" aria-hidden="true"><path d="M0 0H12V12H0Z" fill="rgb(${colour.join(
            ",",
          )})"/></svg>${text}</span>
      `
    )
  }</p>`;
}

function clipSection({ name, path, label, view, views, seen }: PreviewClip, i: number, pixels: number): Html {
  const heading = html`<h2 id="clip-${i}">${label ?? "(no label)"} <span class="muted"><bdi>${name}</bdi>${
    views > 1 && `, view ${view + 1} of ${views}`
  }</span></h2>`;
  const body = "cubes" in seen ? viewOf(seen, path, name, pixels) : html`
    <p class="bad">Cannot be decoded (${seen.reason}): ${seen.detail}</p>
    <p class="path">${path}</p>
  `;
  return html`<section class="clip" aria-labelledby="clip-${i}">${heading}${body}</section>`;
}

function viewOf(view: PreviewView, path: string, name: string, pixels: number): Html {
  const { layout, cubes, studentTokens, teacherOnlyTokens, crop, frames, ptsUs } = view;
  const size = stripSize(layout, pixels), clip = joinCubes(cubes, layout);
  const strip = (title: string, pictures: Uint8Array) => stripFigure(title, name, pictures, view, size);
  const seconds = (us: bigint | undefined) => `${(Number(us ?? 0n) / 1e6).toFixed(2)} s`;
  const box = [crop.width, crop.height, crop.x, crop.y].map((value) => Math.round(value * 10) / 10);
  return html`
    <div class="view">
      <div>${cropDrawing(view, clip)}<dl>
    <dt>Crop</dt><dd>${box[0]} × ${box[1]} at ${box[2]}, ${box[3]} of ${view.sourceWidth} × ${view
      .sourceHeight} pixels</dd>
    <dt>Frames</dt><dd>${[...frames].join(", ")} of ${view.frameCount}</dd>
    <dt>Time</dt><dd>${seconds(ptsUs[0])} to ${seconds(ptsUs.at(-1))}</dd>
    <dt>File</dt><dd><bdi>${path}</bdi></dd>
    </dl></div>
      <div>
    ${strip("Frames", clip)}
    ${strip("Masks", maskFrames(cubes, layout, studentTokens, teacherOnlyTokens))}
    ${strip("What the student sees", visibleFrames(cubes, layout, studentTokens))}
      </div>
    </div>
  `;
}

/** The whole picture in outline, and the first frame of the view at its place in it. */
function cropDrawing({ crop, sourceWidth, sourceHeight, layout }: PreviewView, clip: Uint8Array): Html {
  const { width, height } = layout, first = pngAddress(clip.subarray(0, width * height * 3), width, height, 3);
  return html`
    <svg viewBox="0 0 ${sourceWidth} ${sourceHeight}" role="img" aria-label="The crop in the whole picture">
      <image href="${first}" x="${crop.x}" y="${crop.y}" width="${crop.width}" height="${crop.height}"
        preserveAspectRatio="none" />
      <rect x="${crop.x}" y="${crop.y}" width="${crop.width}" height="${crop.height}" fill="none" stroke="currentColor"
        stroke-width="${Math.max(1, sourceWidth / 150)}" />
    </svg>
  `;
}

function stripFigure(title: string, name: string, pictures: Uint8Array, view: PreviewView, size: StripSize): Html {
  const shown = formatAmount(size.frames, "frame");
  const caption = size.frameStep > 1 ? `${title}, one frame of each cube` : title;
  return html`
    <figure>
      <figcaption>${caption}</figcaption>
      <div class="strip" tabindex="0" role="group"
        aria-label="${title}"><img src="${filmStrip(pictures, view.layout, size)}" width="${size.stripWidth}"
    height="${size.height}" alt="${title} of ${name}: ${shown} from left to right"></div>
    </figure>
  `;
}
