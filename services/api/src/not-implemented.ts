import { PaddockError } from "@paddock/domain";
import type { CallContext } from "@paddock/rpc";

/** Serves the calls of the protocol that do not exist yet. `routes.ts` names them one by one. */
export const notImplemented = (_request: unknown, ctx: CallContext): never => {
  throw new PaddockError("NOT_IMPLEMENTED", `${ctx.method.name} is not implemented in this version`, {
    metadata: { method: `${ctx.method.parent.typeName}/${ctx.method.name}` },
  });
};
