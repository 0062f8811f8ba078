import { ServerCredentials } from "@grpc/grpc-js";
import type { Replaceable, Tls } from "../credentials.ts";

const HANDSHAKE_TIMEOUT_MS = 10_000;

/** TLS for a grpc-js server whose certificate may be replaced: new connections use the newest one. */
export class ReplaceableServerCredentials extends ServerCredentials {
  readonly #forget: () => void;

  constructor(tls: Replaceable<Tls>) {
    super({ handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, contextOf(tls.current));
    this.#forget = tls.onChange((changed) => this.updateSecureContextOptions(contextOf(changed)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }

  /** Stops following changes. The current certificate stays in use. */
  release(): void {
    this.#forget();
  }
}

const contextOf = ({ certificate, key }: Tls) => ({ cert: certificate, key, minVersion: "TLSv1.2" }) as const;
