/** The part of the report that everyone reads: what came out, and how sure that is. */
import { formatAmount, formatDuration, formatShare } from "../units.ts";
import { accuracyVerdict, comparedAccuracies } from "./accuracy.ts";
import { shareChart } from "./chart.ts";
import { stageTitle } from "./_curves_section.ts";
import { formatLoss, LOSSES } from "./curves.ts";
import { type Html, html } from "./html.ts";
import type { AccuracySummary, FinalLosses, RunSummary } from "./report_data.ts";

/** Accuracies, losses and times of a run. */
export async function resultSection(summary: RunSummary): Promise<Html> {
  return html`<section id="result" aria-labelledby="result-h">
<h2 id="result-h">Result</h2>
${summary.accuracy ? await accuracyPart(summary.accuracy) : html`<p>No accuracy was measured.</p>`}
<div class="beside">
${summary.losses.length > 0 && lossTable(summary.losses)}
${stageTable(summary)}
</div>
</section>`;
}

async function accuracyPart(accuracy: AccuracySummary): Promise<Html> {
  const { kind, clips, chance } = accuracy;
  const rows = comparedAccuracies(accuracy);
  const said = rows.map(({ name, accuracy, standardError }) =>
    `${name} ${formatShare(accuracy)} with standard error ${formatShare(standardError)}`
  );
  const [verdict, ...rest] = accuracyVerdict(accuracy);
  return html`<p class="verdict">${verdict}</p>
<p>${rest.join(" ")}</p>
<div class="beside">
<div class="scroll"><table>
<caption>${kind}, ${formatAmount(clips, "validation clip")}</caption>
<thead><tr><th scope="col">Network</th><th scope="col" class="n">Accuracy</th><th scope="col" class="n">Standard error</th><th scope="col" class="n">Right</th>${
    accuracy.top5 && html`<th scope="col" class="n">Top-5</th>`
  }</tr></thead>
<tbody>${
    rows.map(({ name, accuracy: share, standardError, top5 }) =>
      html`
        <tr>
          <th scope="row">${name}</th>
          <td class="n"><b>${formatShare(share)}</b></td>
          <td class="n">± ${formatShare(standardError)}</td>
          <td class="n">${Math.round(share * clips)} of ${clips}</td>${accuracy.top5 &&
            html`<td class="n">${top5 === null ? "–" : formatShare(top5)}</td>`}
        </tr>
      `
    )
  }<tr><th scope="row">guessing</th><td class="n">${formatShare(chance)}</td><td></td><td></td>${
    accuracy.top5 && html`<td></td>`
  }</tr></tbody>
</table></div>
${
    rows.length > 0 && html`<figure class="panel">
<figcaption><b>${kind}</b>, with two standard errors to either side; dashed: guessing</figcaption>
${await shareChart(`${kind}: ${said.join("; ")}; guessing ${formatShare(chance)}`, rows.map(estimateOf), chance)}
</figure>`
  }
</div>`;
}

function estimateOf({ name, accuracy, standardError }: ReturnType<typeof comparedAccuracies>[number]) {
  return { name, share: accuracy, standardError };
}

function lossTable(losses: readonly FinalLosses[]): Html {
  const names = LOSSES.filter((name) => losses.some(({ losses }) => name in losses));
  return html`
    <div class="scroll">
      <table>
        <caption>Losses at the end, means over the last epoch</caption>
        <thead>
          <tr><th scope="col">Training</th>${names.map((name) =>
            html`<th scope="col" class="n">${name}</th>`
          )}<th scope="col" class="n">Steps</th></tr>
        </thead>
        <tbody>${losses.map(({ stage, step, losses }) =>
          html`
            <tr><th scope="row">${stageTitle(stage)}</th>${names.map((name) =>
              html`<td class="n">${name in losses ? formatLoss(losses[name] ?? NaN) : "–"}</td>`
            )}<td class="n">${step}</td></tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}

function stageTable({ stages, seconds }: RunSummary): Html {
  return html`
    <div class="scroll">
      <table>
        <caption>Stages</caption>
        <thead>
          <tr>
            <th scope="col">Stage</th>
            <th scope="col" class="n">Time</th>
            <th scope="col">In this call</th>
          </tr>
        </thead>
        <tbody>${stages.map(({ name, seconds, skipped }) =>
          html`
            <tr>
              <th scope="row">${name}</th>
              <td class="n">${formatDuration(seconds)}</td>
              <td>${skipped ? html`<span class="muted">done before, skipped</span>` : "ran"}</td>
            </tr>
          `
        )}</tbody>
        <tfoot>
          <tr>
            <th scope="row">this call</th>
            <td class="n">${formatDuration(seconds)}</td>
            <td></td>
          </tr>
        </tfoot>
      </table>
    </div>
  `;
}
