import { PaddockError } from "@paddock/domain";
import type { CallContext } from "@paddock/rpc";

/** Serves the calls that are not implemented. `routes.ts` names them one by one. */
export const notImplemented = (_request: unknown, ctx: CallContext): never => {
  throw new PaddockError("NOT_IMPLEMENTED", `${ctx.method.name} is not implemented in this version`, {
    metadata: { method: `${ctx.method.parent.typeName}/${ctx.method.name}` },
  });
};
