/**
 * Exactly-once for requests that carry an idempotency key.
 *
 * The ledger remembers each request id with a digest of its body and, once it succeeded, its outcome. The same id with
 * the same body gets that outcome again; with another body it is refused; while the first is under way, others join it,
 * and the work goes on until the last of them has left.
 * A request that failed left nothing behind, so its id may be used for another try: only its digest is kept. The same
 * holds for one whose process died under way, after what it did was undone.
 */
import { PaddockError, withUnknownOutcome } from "@paddock/domain";
import { SharedWork } from "./shared-work.ts";
import { untilAborted } from "./waiting.ts";

export type LedgerEntry = {
  readonly digest: string;
  /** Undefined while it is under way, and after a failure. */
  readonly outcome: Uint8Array | undefined;
};

/** Where the ledger is kept. What a call has written outlives the process once it has returned. */
export type LedgerStore = {
  find(requestId: string): LedgerEntry | undefined;
  /** Notes that the request was seen; on disk with whatever it makes durable first. */
  begin(requestId: string, digest: string): void;
  /** Notes its outcome, on disk once it has returned unless it `isProven`. */
  finish(requestId: string, outcome: Uint8Array, isProven: boolean): void;
};

export type LedgerRequest = {
  readonly requestId: string;
  readonly digest: string;
  /** Aborts when this caller leaves. */
  readonly signal: AbortSignal;
  /**
   * Whether what the request has made, on disk by now, proves its success: repeating it without a word of the ledger answers with
   * what is there. Asked once it has succeeded; by default it does not.
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
   * The outcome of `work`, run at most once for a request id that succeeds. The signal that `work` is given aborts when every
   * caller of that request has left. Throws REQUEST_ID_REUSED when the id came before with another digest, whatever `work`
   * throws, and the reason of `signal` to a caller who leaves. Its outcome is unknown to one who leaves others behind, or
   * who has left before a request that came earlier could be looked after, and when it cannot be kept.
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
      // What was begun for those who left is being taken back: this caller's turn comes after.
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
      hint: "use a fresh request id for each call, and repeat it only to repeat that very call",
    },
  );
}
