/** The frame of every page: complete in one file, in light and dark, loading and running nothing. */
import { STYLE } from "./_style.ts";
import { Html, html } from "./html.ts";

/** What stands in the frame. */
export interface PageParts {
  readonly title: string;
  /** Style sheet of this kind of page, added to the common one. @default none */
  readonly style?: string;
  /** Below the title. */
  readonly header: Html;
  readonly main: readonly Html[];
}

/** The page as text. */
export function page({ title, style = "", header, main }: PageParts): string {
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
        <meta name="color-scheme" content="light dark">
        <title>${title}</title>
        <link rel="icon" href="data:,">
        <style>${new Html(STYLE + style)}</style>
      </head>
      <body>
        <header>
    <h1>${title}</h1>
    ${header}
        </header>
        <main>
    ${main}
        </main>
        <footer>
          <p>Written by Tubelet. The page is complete as it is: it loads nothing.</p>
        </footer>
      </body>
    </html>
  `.markup.trimStart();
}
