/** A problem that an operator has to correct before a service can start. The message says what to correct, and how. */
export class OperatorError extends Error {
  override readonly name: string = "OperatorError";
}
