/** Puts the time before each line of a stream whose chunks do not end at line ends. */
const NEWLINE = 10;

export class LineStamper {
  #isAtLineStart = true;

  /** Puts the time before each line. Other bytes are unchanged, in any encoding. */
  stamp(data: Uint8Array, time: Date): Uint8Array {
    const prefix = Buffer.from(`${time.toISOString()} `);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < data.length; ) {
      const newline = data.indexOf(NEWLINE, at);
      const end = newline < 0 ? data.length : newline + 1;
      if (this.#isAtLineStart) parts.push(prefix);
      parts.push(data.subarray(at, end));
      this.#isAtLineStart = newline >= 0;
      at = end;
    }
    return Buffer.concat(parts);
  }
}
