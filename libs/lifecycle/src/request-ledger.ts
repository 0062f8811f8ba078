/**
 * Exactly-once for requests that carry an idempotency key.
 *
 * The ledger remembers each request id with a digest of its body and, after a success, its outcome. A repeat with the same body
 * gets that outcome; a repeat with another body is refused. While the first request runs, repeats join it, and the work runs
 * until its last caller has left.
 * A failed request leaves nothing behind, so its id may be used for another attempt: only its digest is kept. The same holds
 * for a request that was interrupted by the death of the process, after its effects were undone.
 */
import { PaddockError, withUnknownOutcome } from "@paddock/domain";
import { SharedWork } from "./shared-work.ts";
import { untilAborted } from "./waiting.ts";

export type LedgerEntry = {
  readonly digest: string;
  /** Undefined while the request runs, and after a failure. */
  readonly outcome: Uint8Array | undefined;
};

/** Where the ledger is stored. A write survives the process once the call has returned. */
export type LedgerStore = {
  find(requestId: string): LedgerEntry | undefined;
  /** Notes that the request was seen. The note is synced to disk with the first durable write of the request. */
  begin(requestId: string, digest: string): void;
  /** Notes the outcome; on disk when this returns, unless it `isProven`. */
  finish(requestId: string, outcome: Uint8Array, isProven: boolean): void;
};

export type LedgerRequest = {
  readonly requestId: string;
  readonly digest: string;
  /** Aborts when this caller leaves. */
  readonly signal: AbortSignal;
  /**
   * Whether the result of the request, which is on disk by then, proves its success: a repeat gets the right answer without the
   * ledger's entry. Called after a success; by default false.
   */
  readonly isProven?: () => boolean;
};

type UnderWay = { readonly digest: string; readonly work: SharedWork<Uint8Array> };

export class RequestLedger {
  readonly #store: LedgerStore;
  readonly #underWay = new Map<string, UnderWay>();

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /**
   * Runs `work` at most once for a request id that succeeds, and returns its outcome. The signal passed to `work` aborts when
   * every caller of the request has left. Throws REQUEST_ID_REUSED when the id was used with another digest, the error of
   * `work`, and the signal's reason when this caller leaves. The outcome is unknown when other callers still wait, when the
   * caller has already left and the id was used before, and when the outcome cannot be stored.
   */
  async once(
    request: LedgerRequest,
    work: (signal: AbortSignal) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const { requestId, digest, signal } = request;
    for (;;) {
      const underWay = this.#underWay.get(requestId);
      const before = underWay ?? this.#store.find(requestId);
      if (signal.aborted) throw before === undefined ? signal.reason : withUnknownOutcome(signal.reason);
      if (before !== undefined && before.digest !== digest) throw reused(requestId);
      if (underWay === undefined) return await this.#begin(request, work);
      if (!underWay.work.isAbandoned) return await underWay.work.join(signal);
      // The abandoned work is being undone. This caller's turn comes afterwards.
      await untilAborted(underWay.work.outcome, signal).catch(() => undefined);
    }
  }

  async #begin(
    { requestId, digest, signal, isProven = () => false }: LedgerRequest,
    work: (signal: AbortSignal) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const known = this.#store.find(requestId)?.outcome;
    if (known !== undefined) return known;
    this.#store.begin(requestId, digest);
    const shared = new SharedWork(async (left) => {
      try {
        const outcome = await work(left);
        this.#keep(requestId, outcome, isProven());
        return outcome;
      } finally {
        this.#underWay.delete(requestId);
      }
    });
    this.#underWay.set(requestId, { digest, work: shared });
    return await shared.join(signal);
  }

  #keep(requestId: string, outcome: Uint8Array, isProven: boolean): void {
    try {
      this.#store.finish(requestId, outcome, isProven);
    } catch (error) {
      throw withUnknownOutcome(error);
    }
  }
}

function reused(requestId: string): PaddockError {
  return new PaddockError(
    "REQUEST_ID_REUSED",
    `request id ${requestId} was used before for another request`,
    {
      hint: "use a new request id for each call, and repeat it only to retry the same call",
    },
  );
}
