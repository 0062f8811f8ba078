/** The code of a system error, such as ENOENT; empty for all else. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
