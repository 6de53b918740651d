/** The error that every failed assertion throws; a runner may tell it from an unexpected one by its class. */
export class AssertionError extends Error {
  /**
   * @param message What was expected and what was found.
   * @param options The error's `cause`, if one is known.
   */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}
