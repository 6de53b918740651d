/** No XLA plugin can be had or opened on this machine; another engine may still work. */
export class PluginError extends Error {
  override readonly name = "PluginError";
}
