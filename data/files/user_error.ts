/**
 * What is wrong with what the user gave: a file, a picture, weights, words or a setting. The message is a sentence
 * that says what to change, and all that a task shows. An error of any other kind may be a mistake in the code.
 */
export class UserError extends Error {
  /** Its name. */
  override readonly name: string = "UserError";

  /** A UserError with `what` it is about in front of its sentence; any other error as it is. */
  static within(what: string, error: unknown): unknown {
    return error instanceof UserError ? new UserError(`${what}: ${error.message}`) : error;
  }
}
