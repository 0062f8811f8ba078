/**
 * How a command fails: the text for people and the exit code for scripts.
 *
 * A usage error exits with 2. `run`, `exec` and `attach` exit with the code of the command in the container, so their own
 * failures exit with 125, as in other container tools. Failures of all other commands exit with 1.
 */

/** A mistake in the command line. */
export const EXIT_USAGE = 2;
/** The command in the container was not run to its end. The command itself may also exit with this code. */
export const EXIT_NOT_RUN = 125;

/**
 * The reader of stdout closed it, as in `paddock logs web | head`: the code that a shell reports for a program ended by SIGPIPE.
 */
export const EXIT_BY_SIGPIPE = 128 + 13;

export type CliErrorOptions = {
  readonly exitCode?: number;
  readonly hint?: string | undefined;
  readonly requestId?: string | undefined;
  /** Lines printed below the message, such as the end of a log. */
  readonly details?: readonly string[];
  readonly cause?: unknown;
};

/** A failure with a message for the user. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;
  readonly hint: string | undefined;
  readonly requestId: string | undefined;
  readonly details: readonly string[];

  constructor(message: string, options: CliErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
    this.hint = options.hint;
    this.requestId = options.requestId;
    this.details = options.details ?? [];
  }
}

/** A mistake in the command line. */
export const usageError = (message: string, hint?: string): CliError =>
  new CliError(message, { exitCode: EXIT_USAGE, hint });

/** The same failure with another exit code. */
export const withExitCode = (error: CliError, exitCode: number): CliError =>
  new CliError(error.message, {
    exitCode,
    hint: error.hint,
    requestId: error.requestId,
    details: error.details,
    cause: error.cause,
  });
