/** What an interface carried, by the kernel's count. */
export type InterfaceCounters = {
  readonly rxBytes: bigint;
  readonly rxPackets: bigint;
  readonly rxErrors: bigint;
  readonly rxDropped: bigint;
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly txDropped: bigint;
};

/** The counters of each interface in a text of /proc/net/dev. */
export function parseInterfaceCounters(text: string): ReadonlyMap<string, InterfaceCounters> {
  const counters = new Map<string, InterfaceCounters>();
  for (const line of text.split("\n")) {
    const [, name, numbers] = /^\s*([^\s:]+):((?:\s*[0-9]+){16})\s*$/.exec(line) ?? [];
    if (name === undefined || numbers === undefined) continue;
    const [rxBytes = 0n, rxPackets = 0n, rxErrors = 0n, rxDropped = 0n, , , , , ...tx] = numbers
      .trim()
      .split(/\s+/)
      .map(BigInt);
    const [txBytes = 0n, txPackets = 0n, txErrors = 0n, txDropped = 0n] = tx;
    counters.set(name, { rxBytes, rxPackets, rxErrors, rxDropped, txBytes, txPackets, txErrors, txDropped });
  }
  return counters;
}
