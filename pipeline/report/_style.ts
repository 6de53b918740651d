/** The style sheet of the report: light and dark, wide and narrow, screen and paper. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --raised: #f6f7f9; --ink: #1b1f24; --muted: #59626d; --line: #dde1e6;
  --accent: #0b63a5; --mark: #fff4d6; --mark-ink: #6b4a00; --bad: #b3261e;
  --total: #1b1f24; --pixel: #0072b2; --direct: #c4500a; --generation: #008a64; --heat: #0b63a5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --raised: #1c2026; --ink: #e6e9ed; --muted: #9aa4b0; --line: #323942;
    --accent: #6cb6f5; --mark: #3a3015; --mark-ink: #f2cf7a; --bad: #ff8a80;
    --total: #e6e9ed; --pixel: #5cb3ef; --direct: #f28b4b; --generation: #3ecfa3; --heat: #6cb6f5;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
header, main, footer { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 40px; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 1rem; letter-spacing: -.01em; }
h3 { font-size: 1.05rem; margin: 2rem 0 .3rem; overflow-wrap: anywhere; }
section { padding: 28px 0; border-top: 1px solid var(--line); }
p { max-width: 75ch; margin: .5rem 0; }
a { color: var(--accent); }
code, pre { font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; margin: 1rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
nav { margin: 1rem 0 1.5rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: 0; padding: 0; }
.muted { color: var(--muted); font-weight: normal; }
.bad { color: var(--bad); }
.end { max-width: none; }
.verdict { font-size: 1.25rem; line-height: 1.4; max-width: 60ch; margin: 0 0 .6rem; }
.notes { background: var(--mark); color: var(--mark-ink); border-radius: 8px; padding: 10px 16px; margin: 0 0 1.5rem; }
.notes ul { margin: .2rem 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9375rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .35rem; }
th, td { text-align: left; vertical-align: baseline; padding: .32rem 1.4rem .32rem 0; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 500; font-size: .85em; white-space: nowrap; }
tbody th, tfoot th { font-weight: normal; }
tfoot th, tfoot td { font-weight: 600; border-bottom: 0; }
.n { text-align: right; white-space: nowrap; }
.path { overflow-wrap: anywhere; min-width: 12em; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 0 40px; align-items: start; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: 14px 28px; margin: 0 0 1rem; }
.facts.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
.facts dt { color: var(--muted); font-size: .85em; }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.facts.wide dd { font-weight: normal; }
figure { margin: 0; }
figcaption { font-size: .875rem; margin-bottom: .25rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 22px 32px; margin-top: 1rem; }
.panel { min-width: 0; }
.beside .panel { margin: 1.2rem 0; max-width: 480px; }
svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
.legend { display: inline-flex; flex-wrap: wrap; gap: .1rem .9rem; }
p.legend { display: flex; font-size: .9375rem; max-width: none; }
.key { display: inline-flex; align-items: center; gap: .35rem; white-space: nowrap; }
.key svg { width: 16px; height: 12px; flex: none; }
.clip figure { margin: .8rem 0 0; }
.strip { overflow-x: auto; }
.strip img { display: block; width: 100%; min-width: 560px; max-width: 1000px; height: auto; image-rendering: pixelated; }
img.matrix { width: 100%; max-width: 480px; height: auto; image-rendering: pixelated; border: 1px solid var(--line); }
.heat { font-size: .875rem; }
.heat th, .heat td { padding: .3rem .5rem; border: 1px solid var(--paper); }
.heat thead th { vertical-align: bottom; padding: .3rem .2rem; }
.heat thead th span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 12em; overflow: hidden; text-overflow: ellipsis; }
.heat tbody th { text-align: right; max-width: 16em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.heat td { min-width: 2.6em; text-align: center; background: color-mix(in oklab, var(--heat) var(--v, 0%), var(--raised)); }
.heat thead td { background: none; }
.heat td.full { color: var(--paper); }
.heat td.right { font-weight: 700; }
.heat td i { color: var(--muted); font-style: normal; opacity: .5; }
.settings { width: 100%; font-size: .875rem; }
.settings td:nth-child(2) { overflow-wrap: anywhere; min-width: 7em; }
.settings td b { font-weight: normal; }
.settings .group { padding-top: 1.3rem; font-weight: 600; font-size: 1rem; }
.settings .changed { background: var(--mark); }
.settings .changed b { font-weight: 700; }
.settings th:first-child { padding-left: .5rem; white-space: nowrap; }
.settings .origin { color: var(--muted); }
.settings .changed .origin { color: var(--mark-ink); font-weight: 600; }
footer { padding-bottom: 48px; color: var(--muted); font-size: .875rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 640px) {
  header, main, footer { padding-left: 16px; padding-right: 16px; }
  header { padding-top: 24px; }
  h1 { font-size: 1.5rem; }
  .verdict { font-size: 1.1rem; }
  table { font-size: .875rem; }
  th, td { padding-right: .7rem; }
  thead th { white-space: normal; }
  .settings td:nth-child(4), .settings thead th:nth-child(4) { display: none; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print {
  :root {
    --paper: #ffffff; --raised: #f6f7f9; --ink: #000000; --muted: #444444; --line: #cccccc;
    --accent: #0b63a5; --mark: #fff4d6; --mark-ink: #6b4a00; --bad: #b3261e;
    --total: #000000; --pixel: #0072b2; --direct: #c4500a; --generation: #008a64; --heat: #0b63a5;
  }
  body { font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  header, main, footer { max-width: none; padding-left: 0; padding-right: 0; }
  nav { display: none; }
  .panel, .clip figure, tr { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  .scroll, .strip { overflow: visible; }
  .strip img { min-width: 0; }
}
`;
