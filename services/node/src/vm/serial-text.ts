/** The most bytes of a serial console that are kept as evidence. */
export const EVIDENCE_BYTES = 8192;

/**
 * The end of a guest's output, made safe to show: the guest is hostile, and terminals obey escape sequences. Line breaks are
 * kept, all other control characters are removed, at most `EVIDENCE_BYTES` bytes.
 */
export function serialText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(-EVIDENCE_BYTES)).toString("latin1");
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is taken out
      .replaceAll(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, "")
      .replaceAll("\r\n", "\n")
      .replaceAll(/[^\n\t\x20-\x7e]/g, "")
      .trim()
  );
}

/** Whether the console shows that the guest's kernel panicked. */
export const showsPanic = (text: string): boolean => /Kernel panic - not syncing/.test(text);
