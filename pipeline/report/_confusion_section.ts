/**
 * The part of the report on what was taken for what: a table in colours, or a picture where there are many classes; and
 * how much of each class is right, the worst first.
 */
import { formatAmount, formatCount, formatShare } from "../units.ts";
import { pngAddress } from "./film_strip.ts";
import { type Html, html } from "./html.ts";
import type { ConfusionMatrix } from "./report_data.ts";

/** With more classes a table cannot be read. */
const TABLE_CLASSES = 24;
/** Mistakes listed beside the picture. */
const LISTED = 15;
/** Classes listed by accuracy: all of them stand in the run's folder. */
const LISTED_CLASSES = 40;

/**
 * The confusion matrix of an evaluation.
 *
 * @throws {RangeError} If there are not C * C counts.
 */
export function confusionSection({ classes, counts, clips }: ConfusionMatrix): Html {
  if (counts.length !== classes.length ** 2) {
    throw new RangeError(
      `Cannot draw a confusion matrix: ${counts.length} counts for ${classes.length} classes, expected ${
        classes.length ** 2
      }`,
    );
  }
  const matrix = classes.map((_, row) => classes.map((_, column) => counts[row * classes.length + column] ?? 0));
  return html`<section id="confusion" aria-labelledby="confusion-h">
<h2 id="confusion-h">What the student took for what</h2>
${classes.length <= TABLE_CLASSES ? heatTable(classes, matrix) : heatPicture(classes, matrix)}
${classTable(classes, matrix, clips ?? matrix.map(sum))}
</section>`;
}

function classTable(
  classes: readonly string[],
  matrix: readonly (readonly number[])[],
  clips: readonly number[],
): Html {
  const rows = classes.map((name, i) => ({ name, count: clips[i]!, right: matrix[i]![i]! }))
    .filter(({ count }) => count > 0).sort((a, b) => a.right / a.count - b.right / b.count);
  const rest = rows.length - LISTED_CLASSES;
  return html`
    <div class="scroll">
      <table>
        <caption>By class, the worst first${rest > 0 &&
          `; ${formatAmount(rest, "better class", "better classes")} in per-class-student.csv`}</caption>
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col" class="n">Top-1</th>
            <th scope="col" class="n">Right</th>
          </tr>
        </thead>
        <tbody>${rows.slice(0, LISTED_CLASSES).map(({ name, count, right }) =>
          html`
            <tr>
              <th scope="row">${name}</th>
              <td class="n">${formatShare(right / count)}</td>
              <td class="n">${formatCount(right)} of ${formatCount(count)}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function heatTable(classes: readonly string[], matrix: readonly (readonly number[])[]): Html {
  return html`
    <div class="scroll">
      <table class="heat">
        <caption>Clips by true class (rows) and answer (columns); colour: share of the row</caption>
        <thead>
          <tr><td></td>${classes.map((name) => html`<th scope="col"><span>${name}</span></th>`)}</tr>
        </thead>
        <tbody>${matrix.map((row, i) =>
          html`
            <tr><th scope="row">${classes[i]}</th>${row.map((count, j) => heatCell(count, sum(row), i === j))}</tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}

function heatCell(count: number, total: number, isRight: boolean): Html {
  const percent = total > 0 ? Math.round(100 * count / total) : 0;
  const kind = `${percent > 50 ? "full" : ""}${isRight ? " right" : ""}`.trim();
  return html`<td${
    kind && html`
      class="${kind}"
    `
  } style="--v:${percent}%">${count > 0 ? count : html`<i>0</i>`}</td>`;
}

function heatPicture(classes: readonly string[], matrix: readonly (readonly number[])[]): Html {
  const pixels = new Uint8Array(classes.length ** 2 * 4);
  matrix.forEach((row, i) => {
    const total = Math.max(1, sum(row));
    // Blue of growing opacity lies well on light and on dark paper.
    row.forEach((count, j) => pixels.set([0, 114, 178, Math.round(255 * count / total)], (i * classes.length + j) * 4));
  });
  const mistakes = matrix.flatMap((row, i) =>
    row.map((count, j) => ({
      count,
      share: count / Math.max(1, sum(row)),
      truth: classes[i],
      answer: classes[j],
      i,
      j,
    }))
  ).filter(({ count, i, j }) => count > 0 && i !== j).sort((a, b) => b.count - a.count);
  const right = sum(matrix.map((row, i) => row[i] ?? 0));
  return html`
    <div class="beside">
      <figure><figcaption>${formatCount(
        classes.length,
      )} classes: true class from top to bottom, answer from left to right; colour: share of the row</figcaption>
    <img class="matrix" src="${pngAddress(pixels, classes.length, classes.length, 4)}" width="${classes
      .length}" height="${classes.length}" alt="Confusion matrix: ${formatAmount(right, "clip")} of ${formatCount(
        sum(matrix.map(sum)),
      )} on the diagonal"></figure>
      <div class="scroll">
        <table>
          <caption>Most frequent mistakes</caption>
          <thead>
            <tr>
              <th scope="col">True class</th>
              <th scope="col">Answer</th>
              <th scope="col" class="n">Clips</th>
              <th scope="col" class="n">Of the class</th>
            </tr>
          </thead>
          <tbody>${mistakes.slice(0, LISTED).map(({ truth, answer, count, share }) =>
            html`
              <tr>
                <th scope="row">${truth}</th>
                <td>${answer}</td>
                <td class="n">${formatCount(count)}</td>
                <td class="n">${formatShare(share)}</td>
              </tr>
            `
          )}</tbody>
        </table>
      </div>
    </div>
  `;
}
