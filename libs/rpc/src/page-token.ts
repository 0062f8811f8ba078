/**
 * Page tokens of lists that are sorted by id, opaque to clients. The order is that of the ids' code units. Between the api and a node
 * the token is the id itself: the api asks each node for the ids after it.
 */
import { PaddockError } from "@paddock/domain";

const PREFIX = "1:";

/** The token for the page after `id`. */
export const pageTokenAfter = (id: string): string => Buffer.from(PREFIX + id).toString("base64url");

/** The id before the page; "" for the first page. Throws `PaddockError` INVALID_FIELD for an invalid token. */
export function afterIdOf(pageToken: string): string {
  if (pageToken === "") return "";
  const text = Buffer.from(pageToken, "base64url").toString();
  if (text.startsWith(PREFIX) && pageTokenAfter(text.slice(PREFIX.length)) === pageToken) {
    return text.slice(PREFIX.length);
  }
  throw new PaddockError("INVALID_FIELD", "page_token: not a token of this list", {
    violations: [{ field: "page_token", description: "not a token of this list" }],
    hint: "pass the next_page_token of the page before, unchanged",
  });
}

/**
 * The id of a container in such a list. A blank sorts before every character of an id, so containers are sorted by sandbox, then
 * by their own id.
 */
export const containerKey = ({
  sandboxId,
  containerId,
}: {
  readonly sandboxId: string;
  readonly containerId: string;
}): string => `${sandboxId} ${containerId}`;

/** Items per page, as the protocol documents it. */
export const pageSizeOf = (pageSize: number): number => (pageSize === 0 ? 100 : Math.min(pageSize, 1000));
