/**
 * How a command fails: what a person reads and the code a script sees.
 *
 * Usage errors exit 2. `run`, `exec` and `attach` end with the code of the command they carry, so their own failures exit
 * 125, as container tools do; every other command exits 1.
 */

/** The caller wrote something that cannot be meant. */
export const EXIT_USAGE = 2;
/** The command was not run to its end by us; its own codes are 0 to 255 without a promise that they differ. */
export const EXIT_NOT_CARRIED = 125;

/** Whoever read our output left, as in `paddock logs web | head`: what a shell shows of a program that SIGPIPE ended. */
export const EXIT_BY_SIGPIPE = 128 + 13;

export type CliErrorOptions = {
  readonly exitCode?: number;
  readonly hint?: string | undefined;
  readonly requestId?: string | undefined;
  /** Lines shown beneath, such as the end of a log. */
  readonly details?: readonly string[];
  readonly cause?: unknown;
};

/** A failure that has been put into words. */
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
