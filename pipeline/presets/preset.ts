/** What a preset is: named values for a known recipe. Its file begins with launch line, hardware, hours and result. */
import type { PartialSettings } from "../_settings_schema.ts";

/** Size of a published data set. */
export interface PublishedData {
  /** Format of its lists. */
  format: "ssv2" | "kinetics" | "folder";
  trainClips: number;
  valClips: number;
  classes: number;
  /** Usual bytes of a clip's name. */
  nameBytes: number;
}

/** A recipe. */
export interface Preset {
  /** One sentence for --help, no final stop. */
  about: string;
  /** Whether the recipe makes no sense on the embedded demo. */
  needsData: boolean;
  /** The data set as it is published, for plans without a list. */
  published?: PublishedData;
  settings: PartialSettings;
}
