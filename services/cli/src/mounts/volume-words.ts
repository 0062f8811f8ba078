/** The name and the size of a volume in words. */
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";
import { parseBytes } from "../output/quantities.ts";

/** What the protocol allows as the name of a volume. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
const LEAST_BYTES = 16 * 1024 ** 2;
const MOST_BYTES = 16 * 1024 ** 4;

/** The name of a volume. `what` names the option or the command. Throws a usage error. */
export function volumeName(what: string, text: string): string {
  if (NAME.test(text)) return text;
  throw usageError(
    `${what}: "${printable(text)}" is not the name of a volume`,
    text.includes("/")
      ? `a host directory begins with "/", "./" or "~/": write "./${printable(text)}"`
      : 'a name has letters, digits, "_", "." and "-", and begins with a letter or a digit',
  );
}

/** The size of a volume in bytes. Throws a usage error. */
export function volumeSize(what: string, text: string): bigint {
  const bytes = parseBytes(text);
  if (bytes >= LEAST_BYTES && bytes <= MOST_BYTES) return BigInt(bytes);
  throw usageError(`${what}: ${text} is not a size for a volume`, 'from "16m" to "16t"');
}
