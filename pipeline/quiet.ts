/**
 * A promise whose failure is met later, when its turn comes, or never where something else fails before: without this the
 * runtime would end the process for a failure that nobody has looked at yet.
 */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
