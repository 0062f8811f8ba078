/**
 * Makes text of a tenant safe for an operator's terminal.
 *
 * Names, labels, arguments and reasons may contain escape sequences that clear the screen, change the title or answer as if
 * typed. Control characters become visible escapes. The output of a container is passed through unchanged, since the user asked
 * for it.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export const printable = (text: string): string =>
  text.replace(CONTROL, (c) => {
    const code = c.charCodeAt(0);
    return code < 256
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
