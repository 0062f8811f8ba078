import type { BoundMethod, EdgeOptions, HostPort, TokenCheck } from "@paddock/rpc";
import type { Replaceable, Tls } from "../credentials.ts";

export type ListenerOptions = {
  readonly address: HostPort;
  readonly tls: Replaceable<Tls> | undefined;
  readonly checkToken: TokenCheck | undefined;
  readonly methods: readonly BoundMethod[];
  readonly edge: EdgeOptions;
};

/** A listening server. */
export type Listener = {
  /** "host:port", with the port that was assigned. */
  readonly address: string;
  /** Accepts no more calls. Resolves when those in flight have ended. */
  drain(): Promise<void>;
  /** Closes all connections. */
  destroy(): void;
};
