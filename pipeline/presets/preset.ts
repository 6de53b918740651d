/** What a preset is: named values for a known recipe. Its file begins with launch line, hardware, hours and result. */
import type { PartialSettings } from "../_settings_schema.ts";

/** A recipe. */
export interface Preset {
  /** One sentence for --help, no final stop. */
  about: string;
  /** Whether the recipe makes no sense on the embedded demo. */
  needsData: boolean;
  settings: PartialSettings;
}
