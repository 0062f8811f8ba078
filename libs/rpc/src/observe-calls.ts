import type { DescMethod, Message } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { codeName, codeOfKind, RemoteError } from "@paddock/protocol";
import type { CallContext, TraceContext } from "./call-context.ts";
import { type AnyHandler, isIterable, type Middleware } from "./service-handlers.ts";

/** Sees each call begin and end. `trace` is the context that the handler passes on in its own calls. */
export type CallObserver = (ctx: CallContext) => {
  readonly trace: TraceContext;
  /** `code` is the name of a gRPC code: "OK", "NOT_FOUND". Called once. */
  end(code: string, error?: unknown): void;
};

/** Middleware that shows every call to an observer, so that handlers contain no metrics, spans and logs. */
export const observeCalls =
  (observer: CallObserver): Middleware =>
  (_method: DescMethod, next: AnyHandler): AnyHandler =>
  (input, ctx) => {
    const { trace, end } = observer(ctx);
    // An abandoned handler may never settle; the signal always aborts, at the latest when the call has ended.
    let ended = false;
    const once = (code: string, error?: unknown) => {
      if (!ended) end(code, error);
      ended = true;
    };
    const onAbort = () => once(codeOf(ctx.signal.reason), ctx.signal.reason);
    ctx.signal.addEventListener("abort", onAbort, { once: true });
    const answer = next(input, { ...ctx, trace });
    if (isIterable(answer)) return observedStream(answer, once);
    return answer.then(
      (response) => {
        once("OK");
        return response;
      },
      (error: unknown) => {
        once(codeOf(error), error);
        throw error;
      },
    );
  };

async function* observedStream(
  responses: AsyncIterable<Message>,
  end: (code: string, error?: unknown) => void,
): AsyncGenerator<Message> {
  try {
    yield* responses;
    end("OK");
  } catch (error) {
    end(codeOf(error), error);
    throw error;
  }
}

function codeOf(error: unknown): string {
  if (error instanceof RemoteError) return codeName(error.status.code);
  return codeName(error instanceof PaddockError ? codeOfKind(error.kind) : 13);
}
