/** The parts of the report on what went in: the clips and those left out, the settings, the machine. */
import { formatAmount, formatBytes, formatCount } from "../units.ts";
import { describeFlags, flattenSettings, type ResolvedSettings } from "../settings.ts";
import { type Html, html } from "./html.ts";
import type { BadClipNote, DataSummary, ReportData } from "./report_data.ts";

/** More bad clips than this are counted, not listed. */
const LISTED = 200;

/** Clips, shards and bad clips. */
export function dataSection(data: DataSummary | null): Html {
  return html`<section id="data" aria-labelledby="data-h">
<h2 id="data-h">Data</h2>
${data ? dataPart(data) : html`<p>No clips were prepared.</p>`}
</section>`;
}

function dataPart({ trainClips, valClips, views, badClips, shards, bytes }: DataSummary): Html {
  const numbers: [string, string][] = [
    ["Training clips", formatCount(trainClips)],
    ["Validation clips", formatCount(valClips)],
    ["Stored views of a clip", formatCount(views)],
    ["Clips that could not be used", formatCount(badClips.length)],
    ["Shards", `${formatCount(shards)}, ${formatBytes(bytes)}`],
  ];
  return html`<dl class="facts">${
    numbers.map(([name, value]) =>
      html`
        <div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>
      `
    )
  }</dl>
${badClips.length > 0 && badClipTable(badClips)}`;
}

function badClipTable(clips: readonly BadClipNote[]): Html {
  const rest = clips.length - LISTED;
  return html`
    <div class="scroll">
      <table>
        <caption>Clips left out of everything above</caption>
        <thead>
          <tr>
            <th scope="col">Clip</th>
            <th scope="col">Reason</th>
            <th scope="col" class="n">At byte</th>
          </tr>
        </thead>
        <tbody>${clips.slice(0, LISTED).map(({ name, reason, byteOffset }) =>
          html`
            <tr>
              <th scope="row" class="path"><bdi>${name}</bdi></th>
              <td>${reason}</td>
              <td class="n">${byteOffset === undefined ? "not known" : formatCount(byteOffset)}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
    ${rest > 0 &&
      html`<p>And ${formatAmount(rest, "more clip")}: see <code>bad_clips.jsonl</code> beside the shards.</p>`}
  `;
}

/** The command as it can be typed again. */
export function commandLine(words: readonly string[]): string {
  const quoted = words.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
  return ["deno task", ...quoted].join(" ");
}

/** Versions, engine, processor and system. */
export function environmentSection({ environment }: ReportData): Html {
  return html`
    <section id="environment" aria-labelledby="environment-h">
      <h2 id="environment-h">Environment</h2>
      <dl class="facts wide">${environment.map(({ name, value }) =>
        html`
          <div>
            <dt>${name}</dt>
            <dd>${value}</dd>
          </div>
        `
      )}</dl>
    </section>
  `;
}

/** Every setting with its origin, by group; those that are not defaults stand out. */
export function settingsSection({ settings, origins, preset }: ResolvedSettings): Html {
  const values = flattenSettings(settings);
  const groups = Map.groupBy(describeFlags(), ({ group }) => group);
  const rows = [...groups].map(([group, flags]) =>
    html`<tbody>
<tr><th scope="rowgroup" colspan="4" class="group">${group}</th></tr>
${
      flags.map(({ path, flag, unit, about }) => {
        const origin = origins[path] ?? "default";
        const value = values.get(path) ?? null;
        return html`
          <tr${origin !== "default" && html`
            class="changed"
          `}>
            <th scope="row"><code>--${flag}</code></th>
            <td>${shownValue(value)}${unit && value !== null && html`
              <span class="muted">${unit}</span>
            `}</td>
            <td><span class="origin">${origin}</span></td>
            <td class="muted">${about}</td>
            </tr>
        `;
      })
    }</tbody>`
  );
  return html`
    <section id="settings" aria-labelledby="settings-h">
      <h2 id="settings-h">Settings</h2>
      <p>${preset === null
        ? "No preset."
        : html`Preset <code>${preset}</code>.`} Settings that are not the default are marked.</p>
      <div class="scroll">
        <table class="settings">
    <thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">From</th><th scope="col">Meaning</th></tr></thead>
    ${rows}
        </table>
      </div>
    </section>
  `;
}

function shownValue(value: unknown): Html {
  const text = value === null ? "none" : typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
  return html`<b>${Array.isArray(value) ? value.join(", ") : text === "" ? '""' : text}</b>`;
}
