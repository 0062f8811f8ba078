/** A socket that is served. */
export type Listener = {
  /** "host:port", with the port that was got. */
  readonly address: string;
  /** Takes no more calls; resolves when those in flight have ended. */
  drain(): Promise<void>;
  /** Ends what is left. */
  destroy(): void;
};
