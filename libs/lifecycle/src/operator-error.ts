/** What an operator has to correct before a service can start. The message says what, and how. */
export class OperatorError extends Error {
  override readonly name: string = "OperatorError";
}
