/**
 * `report.html`: one page about a run that needs nothing but itself. Pictures and charts lie inside, there is no script,
 * and a policy in the page forbids the browser to load anything.
 */
import { writeFileAtomically } from "../shards/_publish.ts";
import { formatDuration } from "../units.ts";
import { clipsSection } from "./_clips_section.ts";
import { confusionSection } from "./_confusion_section.ts";
import { curvesSection } from "./_curves_section.ts";
import { commandLine, dataSection, environmentSection, settingsSection } from "./_data_section.ts";
import { type Html, html } from "./html.ts";
import { page } from "./page.ts";
import type { ReportData } from "./report_data.ts";
import { resultSection } from "./_result_section.ts";

/** Writes the report of a run; an older one is replaced whole. */
export async function writeReport(path: string, data: ReportData): Promise<void> {
  writeFileAtomically(path, await reportPage(data));
}

/** The page as text. */
export async function reportPage(data: ReportData): Promise<string> {
  const { summary, notes = [] } = data;
  const sections: [id: string, title: string, section: Html][] = [
    ["result", "Result", await resultSection(summary)],
    ["training", "Training", await curvesSection(data.metrics, summary, data.probes)],
    ["clips", "Clips", clipsSection(data.clips)],
    ...(data.confusion
      ? [["confusion", "Confusions", confusionSection(data.confusion)] as [string, string, Html]]
      : []),
    ["data", "Data", dataSection(summary.data)],
    ["environment", "Environment", environmentSection(data)],
    ["settings", "Settings", settingsSection(data.settings)],
  ];
  return page({
    title: data.title,
    header: html`
      <p class="muted">Run <bdi>${summary.run}</bdi>, written ${dateText(data.written)}, ${formatDuration(
        summary.seconds,
      )}</p>
      <pre><code>${commandLine(data.command)}</code></pre>
      ${notes.length > 0 &&
        html`
          <div class="notes" role="note">
            <ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>
          </div>
        `}
      <nav aria-label="Contents">
        <ul>${sections.map(([id, title]) => html`<li><a href="#${id}">${title}</a></li>`)}</ul>
      </nav>
    `,
    main: sections.map(([, , section]) => section),
  });
}

function dateText(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
