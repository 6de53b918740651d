/** Which setting each program's batch follows from, so that an error can say what to set it to. */
import type { Program } from "../../models/tensor/mod.ts";
import { settingsByPath } from "../_setting_list.ts";
import type { Settings } from "../settings.ts";
import type { BatchSetting } from "../training/fitting.ts";

/** Settings that say how large a batch is, and whether a training takes it. */
const BATCHES = {
  "teach.trainBatch": true,
  "teach.batch": false,
  "pretrain.batch": true,
  "finetune.batch": true,
  "finetune.evalBatch": false,
} as const;

/**
 * The setting of a batch.
 *
 * @param path Where it stands in the settings.
 * @param build The program of some settings.
 */
export function batchSetting(
  settings: Settings,
  path: keyof typeof BATCHES,
  build: (settings: Settings) => { readonly program: Program },
): BatchSetting {
  const { devices, accumulate } = settings.run;
  const [section, field] = path.split(".") as ["teach", "batch"];
  return {
    flag: `--${settingsByPath.get(path)!.flag}`,
    value: settings[section][field],
    devices,
    ...(BATCHES[path] && { parts: accumulate }),
    programFor: (batch) => build({ ...settings, [section]: { ...settings[section], [field]: batch } }).program,
  };
}
