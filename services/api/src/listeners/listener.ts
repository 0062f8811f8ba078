/** A listening server. */
export type Listener = {
  /** "host:port", with the port that was assigned. */
  readonly address: string;
  /** Takes no more calls. Resolves when those in flight have ended. */
  drain(): Promise<void>;
  /** Closes all connections. */
  destroy(): void;
};
