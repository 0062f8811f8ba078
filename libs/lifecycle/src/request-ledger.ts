/**
 * Exactly-once for requests that carry an idempotency key.
 *
 * The ledger remembers each request id with a digest of its body and, once it succeeded, its outcome. The same id with
 * the same body gets that outcome again; with another body it is refused; while the first is under way, others join it.
 * A request that failed left nothing behind, so its id may be used for another try: only its digest is kept. The same
 * holds for one whose process died under way, after what it did was undone.
 */
import { PaddockError } from "@paddock/domain";

export type LedgerEntry = {
  readonly digest: string;
  /** Undefined while it is under way, and after a failure. */
  readonly outcome: Uint8Array | undefined;
};

/** Where the ledger is kept; durable once a call has returned. */
export type LedgerStore = {
  find(requestId: string): LedgerEntry | undefined;
  /** Notes that the request was seen. */
  begin(requestId: string, digest: string): void;
  /** Notes its outcome. */
  finish(requestId: string, outcome: Uint8Array): void;
};

export type LedgerRequest = { readonly requestId: string; readonly digest: string };

export class RequestLedger {
  readonly #store: LedgerStore;
  readonly #underWay = new Map<string, { readonly digest: string; readonly outcome: Promise<Uint8Array> }>();

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /**
   * The outcome of `work`, run at most once for a request id that succeeds. Throws REQUEST_ID_REUSED when the id
   * came before with another digest, and whatever `work` throws.
   */
  async once({ requestId, digest }: LedgerRequest, work: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const underWay = this.#underWay.get(requestId);
    const before = underWay ?? this.#store.find(requestId);
    if (before !== undefined && before.digest !== digest) throw reused(requestId);
    if (underWay !== undefined) return await underWay.outcome;
    const known = this.#store.find(requestId)?.outcome;
    if (known !== undefined) return known;
    this.#store.begin(requestId, digest);
    const outcome = this.#run(requestId, work);
    this.#underWay.set(requestId, { digest, outcome });
    try {
      return await outcome;
    } finally {
      this.#underWay.delete(requestId);
    }
  }

  async #run(requestId: string, work: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const outcome = await work();
    this.#store.finish(requestId, outcome);
    return outcome;
  }
}

function reused(requestId: string): PaddockError {
  return new PaddockError(
    "REQUEST_ID_REUSED",
    `request id ${requestId} was used before for another request`,
    {
      hint: "use a fresh request id for each call, and repeat it only to repeat that very call",
    },
  );
}
