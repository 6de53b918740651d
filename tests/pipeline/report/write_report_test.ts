/** The page: complete, loads nothing, escapes everything, and its pictures are pictures. */
import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { decode } from "fast-png";
import { commandLine } from "../../../pipeline/report/_data_section.ts";
import { confusionSection } from "../../../pipeline/report/_confusion_section.ts";
import { html } from "../../../pipeline/report/html.ts";
import type { ReportData } from "../../../pipeline/report/report_data.ts";
import { reportPage, writeReport } from "../../../pipeline/report/write_report.ts";
import { HOSTILE, sampleReport } from "./_sample.ts";

/** The sample with a hostile text wherever a text can come from outside. */
function hostileReport(): ReportData {
  const sample = sampleReport();
  const data = sample.summary.data!;
  const accuracy = sample.summary.accuracy!;
  return {
    ...sample,
    title: HOSTILE,
    command: ["pretrain-video", "--videos", HOSTILE],
    environment: [{ name: HOSTILE, value: HOSTILE }],
    notes: [HOSTILE],
    summary: {
      ...sample.summary,
      run: HOSTILE,
      stages: [{ name: HOSTILE, seconds: 1, skipped: false }],
      data: { ...data, badClips: [{ name: HOSTILE, reason: HOSTILE, byteOffset: 1 }] },
      losses: [{ stage: HOSTILE, step: 1, over: 1, losses: { total: 1 } }],
      accuracy: { ...accuracy, kind: HOSTILE, others: [{ name: HOSTILE, accuracy: 0.5 }] },
    },
    metrics: [{ stage: HOSTILE, step: 1, epoch: 0, loss: 1, lr: 1, [HOSTILE]: 2 }],
    clips: sample.clips.slice(0, 1).map((clip) => ({ ...clip, name: HOSTILE, label: HOSTILE })),
    confusion: { classes: [HOSTILE, "b"], counts: [1, 2, 3, 4] },
    settings: {
      ...sample.settings,
      preset: HOSTILE,
      settings: { ...sample.settings.settings, data: { ...sample.settings.settings.data, videos: HOSTILE } },
    },
  };
}

/** Markup without the line ends between tags. */
const flat = (markup: string) => markup.replace(/>\n+</g, "><");

/** Like assertStringIncludes, without printing the whole page. */
const assertShows = (page: string, text: string) => assert(page.includes(text), `not on the page: ${text}`);

/** Every tag of the page with its attributes. A page that is well-formed enough for this has no stray `<`. */
function tagsOf(page: string): { name: string; attributes: Map<string, string> }[] {
  const body = page.replace(/<style>[^<]*<\/style>/, "").replace("<!DOCTYPE html>", "");
  const tag = /<\/?([a-zA-Z][a-zA-Z0-9]*)((?:\s+[\w:-]+(?:="[^"<>]*")?)*)\s*\/?>/y;
  const tags = [];
  for (let i = body.indexOf("<"); i >= 0; i = body.indexOf("<", i)) {
    tag.lastIndex = i;
    const [whole, name, rest] = tag.exec(body) ?? [];
    assert(whole && name, `no tag at: ${body.slice(i, i + 80)}`);
    const attributes = new Map([...(rest ?? "").matchAll(/([\w:-]+)(?:="([^"]*)")?/g)].map((m) => [m[1]!, m[2] ?? ""]));
    tags.push({ name, attributes });
    i += whole.length;
  }
  return tags;
}

const LOADS = new Set(["src", "href", "xlink:href", "srcset", "data", "action", "poster", "background"]);

Deno.test("the page has all its parts, loads nothing and runs no script", async () => {
  const page = await reportPage(sampleReport());
  const tags = tagsOf(page);
  const sections = tags.filter(({ name, attributes }) => name === "section" && attributes.size > 0);
  assertEquals(sections.map(({ attributes }) => attributes.get("id")), [
    "result",
    "training",
    "clips",
    "confusion",
    "data",
    "environment",
    "settings",
  ]);
  for (const { name, attributes } of tags) {
    assertFalse(["script", "iframe", "object", "embed", "base", "form", "foreignObject"].includes(name), name);
    for (const [attribute, value] of attributes) {
      assertFalse(attribute.startsWith("on"), `${name} ${attribute}`);
      if (LOADS.has(attribute)) assert(/^(?:#[a-z]+$|data:)/.test(value), `${name} ${attribute}=${value.slice(0, 60)}`);
      if (/https?:/.test(value)) assertEquals([name, value], ["svg", "http://www.w3.org/2000/svg"]);
    }
  }
  assertFalse(/url\(|@import/.test(page));
  assertShows(page, `content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"`);
  assert(page.length < 3e6, `${page.length} characters`);
});

Deno.test("the result has top-5, and classes are listed with the worst first", async () => {
  const page = flat(await reportPage(sampleReport()));
  assertStringIncludes(page, '<th scope="col" class="n">Top-5</th>');
  assertMatch(page, /pre-trained student<\/th> ?<td class="n"><b>81\.0 %<\/b><\/td>.*?<td class="n">97\.0 %<\/td>/);
  const counts = [3, 1, 0, 0, 5, 0, 2, 1, 1];
  // One clip of the last class has no answer.
  const section = flat(confusionSection({ classes: ["a", "b", "c"], counts, clips: [4, 5, 5] }).markup);
  const table = section.slice(section.indexOf("By class"));
  const rows = [...table.matchAll(/<th scope="row">(\w)<\/th> ?<td class="n">([^<]*)<\/td> ?<td class="n">([^<]*)</g)];
  assertEquals(rows.map(([, name, share, right]) => [name, share, right]), [
    ["c", "20.0 %", "1 of 5"],
    ["a", "75.0 %", "3 of 4"],
    ["b", "100.0 %", "5 of 5"],
  ]);
});

Deno.test("the page can be read without eyes: language, headings in order, texts for pictures, heads of tables", async () => {
  const page = await reportPage(sampleReport());
  const tags = tagsOf(page);
  assertShows(page, '<html lang="en">');
  const levels = [...page.matchAll(/<h([1-6])/g)].map((m) => Number(m[1]));
  assertEquals(levels.filter((level) => level === 1).length, 1);
  levels.forEach((level, i) => assert(level <= (levels[i - 1] ?? 0) + 1));
  for (const { name, attributes } of tags) {
    if (name === "img") assert((attributes.get("alt") ?? "").length > 10);
    if (name === "svg" && attributes.size > 0) assert(attributes.has("aria-label") || attributes.has("aria-hidden"));
    if (name === "th" && attributes.size > 0) assert(attributes.has("scope"));
  }
  const ids = tags.flatMap(({ attributes }) => attributes.get("id") ?? []);
  assertEquals(new Set(ids).size, ids.length);
  for (const { attributes } of tags) {
    const target = attributes.get("href") ?? "";
    if (target.startsWith("#")) assert(ids.includes(target.slice(1)), target);
  }
});

Deno.test("the numbers of the run stand on the page", async () => {
  const page = flat(await reportPage(sampleReport()));
  for (
    const text of [
      "81.0 %",
      "± 1.8 %",
      "405 of 500",
      "14.4 points above",
      "deno task pretrain-video --seed 7 --videos &#39;my clips&#39;",
      "2026-01-02 03:04 UTC",
      "runs/demo",
      "the stream ends in frame 5 of 8",
      "18,231",
      "18, 212 MB",
      "done before, skipped",
      "Generation alignment loss",
      "Clips a second",
      "with the true mean and deviation of each cube put back",
      '<code>--seed</code></th><td><b>7</b></td><td><span class="origin">flag</span>',
    ]
  ) assertShows(page, text);
  // Three trainings with one loss each, one with four; lr, norm, speed, waiting, and accuracy in two of them.
  assertEquals(page.split('<svg xmlns="http://www.w3.org/2000/svg" class="chart"').length - 1, 1 + 3 * 5 + 2 + 8);
});

Deno.test("names from outside add no tag and no attribute, wherever they stand", async () => {
  const page = await reportPage(hostileReport());
  const tags = tagsOf(page);
  assertFalse(tags.some(({ name }) => name === "script"));
  assertFalse(tags.some(({ attributes }) => attributes.has("onerror")));
  assertFalse(/<script|<img src=https/.test(page));
  // deno-lint-ignore no-control-regex
  assertFalse(/[\u0000-\u0009\u000b-\u001f\u202e]/.test(page));
  // Title twice, command, note, run, stage, and so on: every place shows the text.
  assert(page.split("&lt;script&gt;alert(1)&lt;/script&gt;").length - 1 >= 20);
});

Deno.test("every picture is a PNG of the size it is said to have", async () => {
  const pictures = tagsOf(await reportPage(sampleReport())).filter(({ name }) => name === "img");
  assertEquals(pictures.length, 3 * 6);
  for (const { attributes } of pictures) {
    const address = attributes.get("src") ?? "";
    const png = decode(Uint8Array.fromBase64(address.replace("data:image/png;base64,", "")), { checkCrc: true });
    assertEquals([png.width, png.height], [Number(attributes.get("width")), Number(attributes.get("height"))]);
    assertEquals([png.width, png.height], [8 * 33 - 1, 32]);
  }
});

Deno.test("a run that has hardly begun has a page too", async () => {
  const sample = sampleReport();
  const { confusion: _, ...rest } = sample;
  const summary = { ...sample.summary, stages: [], data: null, losses: [], accuracy: null };
  const page = await reportPage({ ...rest, summary, metrics: [], clips: [] });
  for (
    const text of ["No accuracy was measured", "Nothing was trained", "No clips to show", "No clips were prepared"]
  ) {
    assertShows(page, text);
  }
  assertFalse(page.includes('id="confusion"'));
});

Deno.test("steps that were not finite are told beside their curve", async () => {
  const sample = sampleReport();
  const metrics = [1, 2, 3].map((step) => ({ stage: "pretrain", step, epoch: 0, loss: step > 1 ? NaN : 1, lr: NaN }));
  const page = flat(await reportPage({ ...sample, metrics, clips: [] }));
  assertShows(page, '<b>Total loss</b><b class="bad">2 steps not finite</b>');
  assertShows(page, "Not one step has a finite value");
});

Deno.test("many classes become a picture and a list of the most frequent mistakes", () => {
  const classes = Array.from({ length: 30 }, (_, i) => `class ${i}`);
  const counts = new Uint32Array(900);
  classes.forEach((_, i) => counts[i * 31] = 3);
  counts[5 * 30 + 7] = 9;
  const markup = flat(confusionSection({ classes, counts }).markup);
  assertShows(markup, 'alt="Confusion matrix: 90 clips of 99 on the diagonal"');
  assertShows(
    markup,
    '<th scope="row">class 5</th><td>class 7</td><td class="n">9</td><td class="n">75.0 %</td>',
  );
  const png = decode(Uint8Array.fromBase64(/base64,([^"]*)/.exec(markup)?.[1] ?? ""));
  assertEquals([...png.data.slice((5 * 30 + 7) * 4, (5 * 30 + 8) * 4)], [0, 114, 178, 191]);
  assertThrows(
    () => confusionSection({ classes, counts: [1] }),
    RangeError,
    "1 counts for 30 classes, expected 900",
  );
});

Deno.test("a report replaces the one before, and leaves nothing beside it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "report ü " });
  try {
    await Deno.writeTextFile(`${folder}/report.html`, "old");
    await writeReport(`${folder}/report.html`, { ...sampleReport(), metrics: [], clips: [] });
    assert((await Deno.readTextFile(`${folder}/report.html`)).startsWith("<!DOCTYPE html>\n<html"));
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["report.html"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the command can be typed again", () => {
  assertEquals(
    commandLine(["pretrain-video", "--videos=a/b", "it's", "", "$HOME"]),
    `deno task pretrain-video --videos=a/b 'it'\\''s' '' '$HOME'`,
  );
});

Deno.test("templates escape values and leave markup, lists and nothing as they are", () => {
  assertEquals(html`<i>${["<", html`<b>${1}</b>`, null, undefined, false, 0]}</i>`.markup, "<i>&lt;<b>1</b>0</i>");
});
